package dev.nosa.job;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;

/** What jobs in processes of their own have written. */
final class ResultFiles {
    private ResultFiles() {}

    /** The rows by id, in a session that ends with this call. */
    static List<Row> read(Path output, String... columns) throws IOException {
        try (SparkSession spark = SparkSession.builder()
                .master("local[1]")
                .config("spark.ui.enabled", false)
                .config("spark.driver.host", "localhost")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .getOrCreate()) {
            return spark.read()
                    .parquet(output.toString())
                    .select(Arrays.stream(columns).map(functions::col).toArray(Column[]::new))
                    .orderBy("id")
                    .collectAsList();
        }
    }
}
