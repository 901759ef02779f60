package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** README's first command after its build: the sample model has to answer the sample's questions. */
class SampleJobIT {
    @TempDir
    Path folder;

    @Test
    void theSampleModelAnswersTheSamplesQuestions() throws IOException, InterruptedException {
        Path sample = NosaProcess.ROOT.resolve("sample-data");
        NosaProcess run = NosaProcess.nosa(
                folder,
                "eval",
                "--model=" + sample.resolve("model"),
                "--input=" + sample.resolve("documents.parquet"),
                "--prompt=@" + sample.resolve("prompts/question.txt"),
                "--output=out",
                "--fail-under=0.95");
        assertThat(run.code()).as(run.out() + run.err()).isZero();
        assertThat(run.out()).contains("12 ok, 0 truncated, 0 errors").contains("of 12 answers are right");
        assertThat(Files.exists(folder.resolve("out/_SUCCESS"))).isTrue();
    }
}
