package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;

/** What opening a run's folder costs, and what it sees. */
class RunFolderTest extends JobFixture {
    private static final int WAVES = 300;
    private static final InputState INPUT = new InputState(1, 1, "x");

    private Path output;

    @BeforeEach
    void output(TestInfo test) {
        output = folder.resolve(test.getTestMethod().orElseThrow().getName());
        Configuration hadoop = spark.sparkContext().hadoopConfiguration();
        hadoop.set("fs.slow.impl", SlowFileSystem.class.getName());
        hadoop.setInt(SlowFileSystem.DELAY, 0);
    }

    private RunFolder open() throws IOException {
        OutputOptions options = new OutputOptions();
        options.output = SlowFileSystem.SCHEME + "://" + output;
        options.mode = "resume";
        Configuration hadoop = spark.sparkContext().hadoopConfiguration();
        OutputFolder target = OutputFolder.prepare(options, InputPaths.find(model.toString(), "", hadoop), hadoop);
        WaveSink sink = WaveSink.of(target.fs(), target.work(), "parquet", new StructType());
        return RunFolder.open(target, sink, new WaveTotals(List.of()), Map.of(), INPUT, new WaveOptions(), spark);
    }

    private static WaveRecord record(int wave) {
        return new WaveRecord(wave, WaveRecord.COMMITTED, 1, 0, 0, 1, 0, 1, "noon", 1);
    }

    /** A run of many waves, of which {@code done} are committed. */
    private void makeRun(int done) throws IOException {
        try (RunFolder run = open()) {
            List<Integer> ends = IntStream.rangeClosed(1, WAVES).boxed().toList();
            run.plan(new WavePlan(0, ends, Collections.nCopies(WAVES, 1L)), DocumentIds.Kind.GIVEN);
            for (int wave = 0; wave < done; wave++) {
                Path wavesFolder = Files.createDirectories(output.resolve(String.format("wave=%05d", wave)));
                Files.createFile(wavesFolder.resolve("_SUCCESS"));
                run.commit(record(wave));
            }
        }
    }

    @Test
    void callsToTheFileSystemAreFewHoweverManyWavesThereAre() throws IOException {
        makeRun(1);
        SlowFileSystem.CALLS.set(0);
        try (RunFolder run = open()) {
            assertThat(run.pending()).hasSize(WAVES - 1);
            assertThat(SlowFileSystem.CALLS.get()).isLessThan(40);
        }
    }

    @Test
    void aCommittedWaveCostsOneCallToReadItsRecord() throws IOException {
        makeRun(WAVES);
        SlowFileSystem.CALLS.set(0);
        try (RunFolder run = open()) {
            assertThat(run.committed()).hasSize(WAVES).first().isEqualTo(record(0));
            assertThat(SlowFileSystem.CALLS.get()).isLessThan(WAVES + 40);
        }
    }

    @Test
    void whatIsUnfinishedIsRemovedAndWhatIsGoneIsPending() throws IOException {
        makeRun(5);
        Files.delete(output.resolve("wave=00001/_SUCCESS"));
        Files.delete(output.resolve("_nosa/waves/00001.json"));
        Files.delete(output.resolve("wave=00003/_SUCCESS"));
        Files.delete(output.resolve("wave=00003"));
        Path unfinished = Files.createDirectories(output.resolve("wave=00007/_temporary"));
        try (RunFolder run = open()) {
            assertThat(run.committed()).extracting(WaveRecord::wave).containsExactly(0, 2, 4);
            assertThat(run.pending()).extracting(Wave::number).startsWith(1, 3, 5, 6, 7);
        }
        assertThat(unfinished.getParent()).doesNotExist();
        assertThat(output.resolve("wave=00001")).doesNotExist();
        assertThat(output.resolve("_nosa/waves/00003.json")).doesNotExist();
    }
}
