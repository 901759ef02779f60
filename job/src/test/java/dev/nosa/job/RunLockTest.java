package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunLockTest {
    private static final String ELSEWHERE =
            "{\"token\": \"x\", \"user\": \"ann\", \"host\": \"far.example\", \"process\": 1, \"processStarted\": \"\","
                    + " \"since\": \"2026-01-01T00:00:00Z\"}";

    @TempDir
    java.nio.file.Path folder;

    private FileSystem fs;
    private Path file;
    private java.nio.file.Path local;

    @BeforeEach
    void open() throws IOException {
        fs = FileSystem.getLocal(new Configuration());
        local = folder.resolve("run/_nosa/lock");
        file = new Path(local.toUri());
    }

    private void locked(String owner, Instant renewed) throws IOException {
        Files.createDirectories(local.getParent());
        Files.writeString(local, owner);
        Files.setLastModifiedTime(local, FileTime.from(renewed));
    }

    @Test
    void oneJobAtATime() throws IOException {
        try (RunLock lock = RunLock.take(fs, file, false)) {
            lock.check();
            assertThatThrownBy(() -> RunLock.take(fs, file, true))
                    .isInstanceOf(UsageException.class)
                    .hasMessageContaining("(process " + ProcessHandle.current().pid() + ") since ")
                    .hasMessageContaining("wait for it, or take another path");
        }
        assertThat(local).doesNotExist();
        RunLock.take(fs, file, false).close();
    }

    @Test
    void theLockOfADeadProcessOfThisHostIsTakenOver() throws IOException {
        RunLock.take(fs, file, false);
        String mine = Files.readString(local);
        String dead = mine.replaceFirst("\"processStarted\":\"[^\"]*\"", "\"processStarted\":\"1999\"");
        assertThat(dead).isNotEqualTo(mine);
        locked(dead, Instant.now());
        RunLock.take(fs, file, false).close();
    }

    @Test
    void aStaleLockOfAnotherHostIsBrokenOnRequestOnly() throws IOException {
        locked(ELSEWHERE, Instant.now().minusSeconds(400));
        assertThatThrownBy(() -> RunLock.take(fs, file, false))
                .hasMessageStartingWith("ann@far.example (process 1) since 2026-01-01T00:00:00Z is working on ")
                .hasMessageContaining("its last sign of life was 4")
                .hasMessageContaining("if it is dead, --break-lock takes the run from it");
        assertThat(local).hasContent(ELSEWHERE);
        RunLock.take(fs, file, true).close();
        assertThat(local).doesNotExist();
    }

    @Test
    void aLivingLockOfAnotherHostIsNeverBroken() throws IOException {
        locked(ELSEWHERE, Instant.now());
        assertThatThrownBy(() -> RunLock.take(fs, file, true)).hasMessageContaining("wait for it");
    }

    @Test
    void aLockThatWasNotWrittenToItsEndIsTakenOver() throws IOException {
        locked("{\"tok", Instant.now().minusSeconds(60));
        RunLock.take(fs, file, false).close();
    }

    @Test
    void aBrokenLockStopsItsFormerHolder() throws IOException {
        RunLock lock = RunLock.take(fs, file, false);
        locked(ELSEWHERE, Instant.now());
        assertThatThrownBy(lock::check).hasMessageContaining("was broken").hasMessageContaining("ann@far.example");
        lock.close();
        assertThat(local).hasContent(ELSEWHERE);
    }
}
