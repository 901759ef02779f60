package dev.nosa.job;

import java.io.Console;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;

/** Shows how far a run is: a bar that redraws itself on a terminal, a line every ten seconds elsewhere. Thread-safe. */
final class ProgressLine implements AutoCloseable {
    private static final Duration REDRAW = Duration.ofMillis(500);
    private static final Duration PLAIN = Duration.ofSeconds(10);

    /**
     * What is done so far.
     *
     * @param documents rows written
     * @param tokens prompt and output tokens of these
     */
    record Snapshot(long documents, long tokens) {
        Snapshot plus(Snapshot other) {
            return new Snapshot(documents + other.documents, tokens + other.tokens);
        }
    }

    private final Supplier<Snapshot> progress;
    private final long total;
    private final PrintWriter out;
    private final boolean terminal;
    private final long startNanos = System.nanoTime();
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "nosa-progress");
        thread.setDaemon(true);
        return thread;
    });
    private ProgressBar bar;
    private Duration sinceLine = Duration.ZERO;
    private boolean closed;

    private ProgressLine(Supplier<Snapshot> progress, long total, PrintWriter out, boolean terminal) {
        this.progress = progress;
        this.total = total;
        this.out = out;
        this.terminal = terminal;
        long period = REDRAW.toMillis();
        timer.scheduleAtFixedRate(this::show, period, period, TimeUnit.MILLISECONDS);
    }

    static ProgressLine start(Supplier<Snapshot> progress, long total, PrintWriter out) {
        return new ProgressLine(progress, total, out, isTerminal(System.console()));
    }

    /** From Java 22 on there is a console also where there is no terminal, and a method that tells. */
    private static boolean isTerminal(Console console) {
        try {
            return console != null
                    && (boolean) Console.class.getMethod("isTerminal").invoke(console);
        } catch (ReflectiveOperationException e) {
            return true;
        }
    }

    private static ProgressBar bar(long total, double seconds) {
        return new ProgressBarBuilder()
                .setTaskName("Documents")
                .setInitialMax(total)
                .startsFrom(0, Duration.ofMillis(Math.round(1000 * seconds)))
                .setUpdateIntervalMillis((int) REDRAW.toMillis())
                .clearDisplayOnFinish()
                .build();
    }

    /** Plain lines until the first document is done: what the engines log as they start would tear a bar apart. */
    private synchronized void show() {
        if (closed) {
            return;
        }
        Snapshot now = progress.get();
        double seconds = (System.nanoTime() - startNanos) / 1e9;
        sinceLine = sinceLine.plus(REDRAW);
        if (terminal && now.documents() > 0) {
            draw(now, seconds);
        } else if (sinceLine.compareTo(PLAIN) >= 0) {
            sinceLine = Duration.ZERO;
            out.println(line(now, total, seconds));
            out.flush();
        }
    }

    private void draw(Snapshot now, double seconds) {
        if (bar == null) {
            bar = bar(total, seconds);
        }
        bar.stepTo(now.documents());
        bar.setExtraMessage(String.format(Locale.ROOT, " %.0f tokens/s", now.tokens() / seconds));
    }

    /** One plain line; the time left supposes that the remaining documents are like those done. */
    static String line(Snapshot now, long total, double seconds) {
        String left = now.documents() == 0
                ? "unknown"
                : duration(seconds / now.documents() * Math.max(0, total - now.documents()));
        return String.format(
                Locale.ROOT,
                "%d of %d documents, %.0f tokens/s, %s left",
                now.documents(),
                total,
                now.tokens() / seconds,
                left);
    }

    static String duration(double seconds) {
        long whole = Math.round(seconds);
        if (whole < 60) {
            return whole + " s";
        }
        return whole < 3600
                ? String.format(Locale.ROOT, "%d min %02d s", whole / 60, whole % 60)
                : String.format(Locale.ROOT, "%d h %02d min", whole / 3600, whole % 3600 / 60);
    }

    @Override
    public synchronized void close() {
        closed = true;
        timer.shutdownNow();
        if (bar != null) {
            bar.close();
        }
    }
}
