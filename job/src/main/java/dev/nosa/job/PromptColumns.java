package dev.nosa.job;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/** The output of several prompts as columns of one row. */
final class PromptColumns {
    private PromptColumns() {}

    /** One row for each document and prompt: id, prompt, and the fields of the prompt's column. */
    static Dataset<Row> asRows(Dataset<Row> output, List<String> prompts) {
        List<Column> answers = new ArrayList<>();
        for (String prompt : prompts) {
            List<Column> fields = new ArrayList<>(List.of(lit(prompt).as("prompt")));
            for (String field : ((StructType) output.schema().apply(prompt).dataType()).fieldNames()) {
                fields.add(col(DocumentIds.quoted(prompt) + "." + field).as(field));
            }
            answers.add(struct(fields.toArray(Column[]::new)));
        }
        return output.select(
                        col("id"),
                        explode(array(answers.toArray(Column[]::new))).as("answer"))
                .select(col("id"), col("answer.*"));
    }
}
