package dev.nosa.spark;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** A session on two local cores, and datasets for it. */
final class LocalSpark {
    static final StructType DOCUMENTS = new StructType()
            .add("id", DataTypes.StringType)
            .add("text", DataTypes.StringType)
            .add("rank", DataTypes.IntegerType);

    /** The driver's GPU, as a discovery script says. */
    static final int GPU = 3;

    private LocalSpark() {}

    static SparkSession session() {
        return SparkSession.builder()
                .master("local[2]")
                .appName("nosa-udf-tests")
                .config("spark.ui.enabled", false)
                .config("spark.sql.shuffle.partitions", 2)
                .config("spark.driver.resource.gpu.amount", 1)
                .config("spark.driver.resource.gpu.discoveryScript", discoveryScript())
                .config("spark.driver.host", "localhost")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .getOrCreate();
    }

    private static String discoveryScript() {
        try {
            Path script = Files.createTempFile("find-gpus", ".sh");
            script.toFile().deleteOnExit();
            Files.writeString(script, "#!/bin/sh\necho '{\"name\": \"gpu\", \"addresses\": [\"" + GPU + "\"]}'\n");
            Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
            return script.toString();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@code count} documents of different lengths, ids d0, d1, ... */
    static List<Row> documents(int count) {
        List<Row> rows = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            rows.add(RowFactory.create("d" + i, "the quick brown fox number " + i + " jumps. ".repeat(1 + 7 * i), i));
        }
        return rows;
    }

    static Dataset<Row> dataset(List<Row> rows, int partitions) {
        return session()
                .createDataset(rows, org.apache.spark.sql.Encoders.row(DOCUMENTS))
                .repartition(partitions);
    }

    static Map<String, Row> byId(Dataset<Row> output) {
        Map<String, Row> rows = new TreeMap<>();
        for (Row row : output.collectAsList()) {
            Row before = rows.put(String.valueOf(row.<Object>getAs("id")), row);
            if (before != null) {
                throw new AssertionError("two rows with id " + row.getAs("id"));
            }
        }
        return rows;
    }
}
