package dev.nosa.job;

import dev.nosa.spark.ExecutorEngine;
import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.TinyTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

/** A tiny model, a session on two local cores, and a folder for each test class. */
abstract class JobFixture {
    @TempDir
    static Path folder;

    static Path model;
    static SparkSession spark;

    @BeforeAll
    static void start() throws IOException {
        model = folder.resolve("model");
        TinyModel.builder().vocab(TinyTokenizer.VOCAB).maxPositions(600).write(model);
        TinyTokenizer.write(model);
        spark = session().getOrCreate();
    }

    static SparkSession.Builder session() {
        return SparkSession.builder()
                .master("local[2]")
                .config("spark.ui.enabled", false)
                .config("spark.sql.shuffle.partitions", 2)
                .config("spark.driver.host", "localhost")
                .config("spark.driver.bindAddress", "127.0.0.1");
    }

    @AfterAll
    static void stop() {
        spark.stop();
        ExecutorEngine.close();
    }

    static Path write(String name, String content) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, content);
    }

    /** A copy of the tiny model, to be spoiled. */
    static Path copyOfModel(String name) throws IOException {
        Path copy = Files.createDirectories(folder.resolve(name));
        try (Stream<Path> files = Files.list(model)) {
            for (Path file : files.toList()) {
                Files.copy(file, copy.resolve(file.getFileName()));
            }
        }
        return copy;
    }

    /** {@code nosa generate} over the tiny model with 4 new tokens, unless {@code more} says otherwise. */
    static CommandRun generate(Path input, Path output, String... more) {
        List<String> args = new ArrayList<>(List.of("generate", "--input=" + input, "--output=" + output));
        args.addAll(Arrays.asList(more));
        for (String option : List.of("--model=" + model, "--max-new-tokens=4", "--threads=2", "--prompt={text}")) {
            String name = option.substring(0, option.indexOf('=') + 1);
            if (Arrays.stream(more).noneMatch(given -> given.startsWith(name))) {
                args.add(option);
            }
        }
        return CommandRun.of(args.toArray(String[]::new));
    }

    static Map<String, Row> read(Path output) {
        Map<String, Row> rows = new TreeMap<>();
        spark.read()
                .parquet(InputPaths.literal(new org.apache.hadoop.fs.Path(output.toUri())))
                .collectAsList()
                .forEach(row -> rows.put(row.getAs("id"), row));
        return rows;
    }
}
