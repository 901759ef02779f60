package dev.nosa.job;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A file that one job at a time has in a run's folder. Its holder renews the file's time, so that others see whether it lives.
 * A lock whose process is known to be dead is taken over; another one only on request, when it has not been renewed for long.
 */
final class RunLock implements AutoCloseable {
    /** A lock that was not renewed for so long may be broken. */
    static final Duration STALE = Duration.ofMinutes(5);

    private static final Logger log = LoggerFactory.getLogger(RunLock.class);
    private static final Duration RENEWAL = Duration.ofSeconds(30);
    private static final Duration WRITTEN = Duration.ofSeconds(5);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final FileSystem fs;
    private final Path file;
    private final Owner owner;
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "nosa-lock");
        thread.setDaemon(true);
        return thread;
    });

    /** Who holds it. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Owner(String token, String user, String host, long process, String processStarted, String since) {
        static Owner ofThisJvm() throws IOException {
            ProcessHandle process = ProcessHandle.current();
            return new Owner(
                    UUID.randomUUID().toString(),
                    System.getProperty("user.name"),
                    InetAddress.getLocalHost().getHostName(),
                    process.pid(),
                    startOf(process),
                    Instant.now().toString());
        }

        /** Whether it is a process of this host that has ended. */
        boolean isDead() throws IOException {
            return host.equals(InetAddress.getLocalHost().getHostName())
                    && ProcessHandle.of(process)
                            .filter(alive -> startOf(alive).equals(processStarted))
                            .isEmpty();
        }

        private static String startOf(ProcessHandle process) {
            return process.info().startInstant().map(Instant::toString).orElse("");
        }

        @Override
        public String toString() {
            return user + "@" + host + " (process " + process + ") since " + since;
        }
    }

    private RunLock(FileSystem fs, Path file, Owner owner) {
        this.fs = fs;
        this.file = file;
        this.owner = owner;
        timer.scheduleAtFixedRate(this::renew, RENEWAL.toMillis(), RENEWAL.toMillis(), TimeUnit.MILLISECONDS);
    }

    /**
     * Takes the lock.
     *
     * @param breakStale whether to take one that was not renewed for {@link #STALE}
     * @throws UsageException if another job holds it
     */
    static RunLock take(FileSystem fs, Path file, boolean breakStale) throws IOException {
        fs.mkdirs(file.getParent());
        Owner owner = Owner.ofThisJvm();
        if (!create(fs, file, owner)) {
            clear(fs, file, breakStale);
            if (!create(fs, file, owner)) {
                throw inUse(fs, file);
            }
        }
        return new RunLock(fs, file, owner);
    }

    /** Throws if another job has broken the lock. */
    void check() throws IOException {
        Owner now = read(fs, file);
        if (now == null || !now.token().equals(owner.token())) {
            throw new IOException(
                    "the lock " + file + " was broken: now " + (now == null ? "nobody" : now) + " has the run");
        }
    }

    @Override
    public void close() throws IOException {
        timer.shutdownNow();
        Owner now = read(fs, file);
        if (now != null && now.token().equals(owner.token())) {
            fs.delete(file, false);
        }
    }

    private void renew() {
        try {
            fs.setTimes(file, System.currentTimeMillis(), -1);
        } catch (IOException e) {
            log.warn("The lock {} could not be renewed", file, e);
        }
    }

    private static void clear(FileSystem fs, Path file, boolean breakStale) throws IOException {
        Owner holder = read(fs, file);
        // One that cannot be read belongs to a process that ended as it wrote it.
        boolean dead = holder == null ? age(fs, file).compareTo(WRITTEN) > 0 : holder.isDead();
        boolean stale = age(fs, file).compareTo(STALE) > 0;
        if (!dead && !(breakStale && stale)) {
            throw inUse(fs, file);
        }
        log.warn("Taking over the run from {}", holder == null ? "a job that ended as it began" : holder);
        fs.delete(file, false);
    }

    private static UsageException inUse(FileSystem fs, Path file) throws IOException {
        Duration age = age(fs, file);
        Owner holder = read(fs, file);
        String message = (holder == null ? "another job" : holder.toString()) + " is working on "
                + file.getParent().getParent() + "; its last sign of life was " + age.toSeconds() + " s ago; ";
        return new UsageException(
                message
                        + (age.compareTo(STALE) > 0
                                ? "if it is dead, --break-lock takes the run from it"
                                : "wait for it, or take another path"),
                "--output");
    }

    private static Duration age(FileSystem fs, Path file) throws IOException {
        try {
            FileStatus status = fs.getFileStatus(file);
            return Duration.ofMillis(Math.max(0, System.currentTimeMillis() - status.getModificationTime()));
        } catch (FileNotFoundException e) {
            return Duration.ZERO;
        }
    }

    /** Null where there is none, or nothing that can be read. */
    private static Owner read(FileSystem fs, Path file) {
        try (InputStream in = fs.open(file)) {
            return JSON.readValue(in, Owner.class);
        } catch (IOException e) {
            return null;
        }
    }

    private static boolean create(FileSystem fs, Path file, Owner owner) throws IOException {
        byte[] content = JSON.writeValueAsBytes(owner);
        try {
            if (file.toUri().getScheme().equals("file")) { // Hadoop's own creation there is no test-and-set
                Files.write(java.nio.file.Path.of(file.toUri()), content, StandardOpenOption.CREATE_NEW);
                return true;
            }
            try (OutputStream out = fs.create(file, false)) {
                out.write(content);
                return true;
            }
        } catch (FileAlreadyExistsException | org.apache.hadoop.fs.FileAlreadyExistsException e) {
            return false;
        }
    }
}
