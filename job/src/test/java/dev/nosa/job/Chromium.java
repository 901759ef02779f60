package dev.nosa.job;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A page that headless Chromium has opened from a file.
 *
 * @param dom the document after its scripts ran, as HTML
 * @param console messages and uncaught errors of its scripts, one line each
 */
record Chromium(String dom, List<String> console) {
    private static final List<String> NAMES = List.of("chromium", "chromium-browser", "google-chrome");
    private static final long TIMEOUT_SECONDS = 60;

    static Optional<Path> program() {
        return NAMES.stream()
                .flatMap(name -> Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
                        .map(folder -> Path.of(folder, name)))
                .filter(Files::isExecutable)
                .findFirst();
    }

    /** Opens {@code html} in a profile of its own, in {@code folder}, which is empty. */
    static Chromium open(Path program, Path folder, String html, String... flags)
            throws IOException, InterruptedException {
        Path page = Files.writeString(folder.resolve("page.html"), html);
        Path out = folder.resolve("out.html");
        Path err = folder.resolve("err.txt");
        List<String> command = new ArrayList<>(List.of(
                program.toString(),
                "--headless",
                "--no-sandbox", // which root cannot use
                "--disable-gpu",
                "--disable-dev-shm-usage", // a container may have little of it
                "--no-first-run",
                "--user-data-dir=" + folder.resolve("profile"),
                "--enable-logging=stderr",
                "--dump-dom"));
        command.addAll(List.of(flags));
        command.add(page.toUri().toString());
        Process process = new ProcessBuilder(command)
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();
        if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
            Stream.concat(process.descendants(), Stream.of(process.toHandle())).forEach(ProcessHandle::destroyForcibly);
            throw new AssertionError("Chromium did not end: " + Files.readString(err));
        }
        List<String> console = Files.readAllLines(err).stream()
                .filter(line -> line.contains(":CONSOLE"))
                .toList();
        return new Chromium(Files.readString(out), console);
    }
}
