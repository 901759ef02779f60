package dev.nosa.backend.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;

/**
 * What a container or service may use of the machine's memory: the control group of versions 1 and 2, or that of its
 * parents which leaves least. Pinned memory counts; going over ends the process.
 *
 * @param file that has the limit
 * @param limitBytes all memory of the group
 * @param usedBytes memory in use, without cached files, which give way
 */
record CgroupMemory(Path file, long limitBytes, long usedBytes) {
    /** Above this a limit of version 1 means that there is none. */
    private static final long UNLIMITED = 1L << 60;

    /** File names of one version of control groups. */
    private record Names(String limit, String current, String inactive, String active) {
        private static final Names V1 =
                new Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file");
        private static final Names V2 = new Names("memory.max", "memory.current", "inactive_file", "active_file");
    }

    long freeBytes() {
        return limitBytes - usedBytes;
    }

    /**
     * Reads the limit of this process, if it has one.
     *
     * @param self {@code /proc/self/cgroup}
     * @param root {@code /sys/fs/cgroup}
     */
    static Optional<CgroupMemory> read(Path self, Path root) {
        try (Stream<String> lines = Files.lines(self)) {
            return lines.flatMap(line -> groups(line, root)).min(Comparator.comparingLong(CgroupMemory::freeBytes));
        } catch (IOException e) {
            return Optional.empty(); // not Linux, or no control groups
        }
    }

    /** Limits of a line {@code number:controllers:path}: those of the folder and its parents that can be seen. */
    private static Stream<CgroupMemory> groups(String line, Path root) {
        String[] parts = line.split(":", 3);
        if (parts.length < 3) {
            return Stream.empty();
        }
        if (parts[1].isEmpty()) {
            return chain(root, parts[2], Names.V2);
        }
        return Stream.of(parts[1].split(",")).anyMatch("memory"::equals)
                ? chain(root.resolve("memory"), parts[2], Names.V1)
                : Stream.empty();
    }

    private static Stream<CgroupMemory> chain(Path top, String path, Names names) {
        Path folder = top.resolve(path.replaceFirst("^/+", "")).normalize();
        return Stream.iterate(folder, at -> at != null && at.startsWith(top), Path::getParent)
                .flatMap(at -> group(at, names).stream());
    }

    private static Optional<CgroupMemory> group(Path folder, Names names) {
        Path file = folder.resolve(names.limit());
        OptionalLong limit = number(file);
        OptionalLong used = number(folder.resolve(names.current()));
        if (limit.isEmpty() || used.isEmpty() || limit.getAsLong() >= UNLIMITED) {
            return Optional.empty();
        }
        long cached = cached(folder.resolve("memory.stat"), names);
        return Optional.of(new CgroupMemory(file, limit.getAsLong(), Math.max(0, used.getAsLong() - cached)));
    }

    private static OptionalLong number(Path file) {
        try {
            String text = Files.readString(file).trim();
            return text.equals("max") ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(text));
        } catch (IOException | NumberFormatException e) {
            return OptionalLong.empty(); // the root group has no such file
        }
    }

    private static long cached(Path stat, Names names) {
        try (Stream<String> lines = Files.lines(stat)) {
            return lines.map(line -> line.split(" "))
                    .filter(pair -> pair.length == 2)
                    .filter(pair -> pair[0].equals(names.inactive()) || pair[0].equals(names.active()))
                    .mapToLong(pair -> Long.parseLong(pair[1]))
                    .sum();
        } catch (IOException | NumberFormatException e) {
            return 0;
        }
    }
}
