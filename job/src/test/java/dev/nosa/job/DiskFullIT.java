package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.TinyTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A disk that is full in the middle of a run: a small tmpfs in a mount namespace of its own. */
class DiskFullIT {
    @TempDir
    Path folder;

    @Test
    void theSameCommandGoesOnWhenThereIsRoomAgain() throws IOException, InterruptedException {
        TinyModel.builder().vocab(TinyTokenizer.VOCAB).maxPositions(600).write(folder.resolve("model"));
        TinyTokenizer.write(folder.resolve("model"));
        Files.createDirectory(folder.resolve("disk"));
        Files.writeString(
                folder.resolve("documents.jsonl"),
                IntStream.range(0, 40)
                        .mapToObj(i -> "{\"id\":\"d" + i + "\",\"text\":\"words of " + i + "\"}\n")
                        .collect(Collectors.joining()));
        String nosa = NosaProcess.NOSA + " generate --model=model --input=documents.jsonl --output=disk/out"
                + " --prompt={text} --max-new-tokens=4 --threads=1 --wave-docs=5";
        String script = "set -e; mount -t tmpfs -o size=100k tmpfs disk; code=0; " + nosa
                + " >first.out 2>first.err || code=$?; echo \"$code $(ls disk/out/_nosa/waves | wc -l)\" >first;"
                + " mount -o remount,size=64m disk; " + nosa;
        NosaProcess run = NosaProcess.run(folder, Map.of(), List.of("unshare", "-rm", "sh", "-c", script));
        String first = Files.readString(folder.resolve("first.err"));
        assertThat(first).contains("nosa: error: ").containsIgnoringCase("No space left on device");
        String[] codeAndWaves =
                Files.readString(folder.resolve("first")).strip().split(" ");
        assertThat(codeAndWaves[0]).isEqualTo("1");
        assertThat(Integer.parseInt(codeAndWaves[1])).as(first).isBetween(1, 7);
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out()).contains("documents  40: 40 ok, 0 truncated, 0 errors");
    }
}
