package dev.nosa.backend.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How much memory this process may use.
 *
 * @param containerBytes the container's limit, if it has one
 * @param containerFile where that limit stands, or an empty string
 * @param usedBytes of the container, without cached files; 0 where there is no limit
 * @param availableBytes what the machine can give to new programs; 0 where that is unknown
 * @param lockedMemory limit of locked memory ({@code ulimit -l}) in the kernel's words, or {@code unknown}
 */
public record HostLimits(
        Optional<Long> containerBytes, String containerFile, long usedBytes, long availableBytes, String lockedMemory) {
    private static final Path ROOT = Path.of("/");
    private static final Pattern LOCKED = Pattern.compile("(?m)^Max locked memory\\s+(\\S+)");

    /** Of this process, now. */
    public static HostLimits ofThisProcess() {
        return read(ROOT);
    }

    /** @param root folder that stands for {@code /} */
    static HostLimits read(Path root) {
        Optional<CgroupMemory> group =
                CgroupMemory.read(root.resolve("proc/self/cgroup"), root.resolve("sys/fs/cgroup"));
        return new HostLimits(
                group.map(CgroupMemory::limitBytes),
                group.map(found -> found.file().toString()).orElse(""),
                group.map(CgroupMemory::usedBytes).orElse(0L),
                HostMemory.available(root.resolve("proc/meminfo")),
                locked(root.resolve("proc/self/limits")));
    }

    private static String locked(Path limits) {
        try {
            Matcher line = LOCKED.matcher(Files.readString(limits));
            return line.find() ? line.group(1) : "unknown";
        } catch (IOException e) {
            return "unknown"; // not Linux
        }
    }
}
