package dev.nosa.spark;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/** A session with two task threads, for tests. */
final class LocalSpark {
    static final StructType DOCUMENT = new StructType().add("id", "string").add("text", "string");

    private LocalSpark() {}

    static SparkSession start() {
        return SparkSession.builder()
                .master("local[2]")
                .config("spark.ui.enabled", false)
                .config("spark.sql.shuffle.partitions", 2)
                .config("spark.driver.host", "localhost")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .getOrCreate();
    }

    /** Rows {@code id0}, {@code id1}, ... in so many partitions. */
    static Dataset<Row> documents(SparkSession spark, List<String> texts, int partitions) {
        List<Row> rows = new ArrayList<>();
        for (int i = 0; i < texts.size(); i++) {
            rows.add(RowFactory.create("id" + i, texts.get(i)));
        }
        return spark.createDataFrame(rows, DOCUMENT).repartition(partitions);
    }
}
