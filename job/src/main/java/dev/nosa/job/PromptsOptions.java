package dev.nosa.job;

import dev.nosa.spark.NosaGenerate;
import dev.nosa.spark.PromptTemplate;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Option;

/** Several prompts for every document, and what is computed once. */
final class PromptsOptions {
    @Option(
            names = "--prompts",
            paramLabel = "FILE",
            description =
                    "HOCON or JSON file of several prompts for every document, name = template, in place of --prompt;"
                            + " what they begin with is computed once (default: none)")
    Path file;

    @Option(
            names = "--prompts-output",
            paramLabel = "LAYOUT",
            defaultValue = "rows",
            description = "Results of several prompts: rows, one for each document and prompt, or columns, one struct"
                    + " for each prompt (default: rows)")
    String output;

    @Option(
            names = "--dedupe",
            description = "Compute equal prompts once; then --seed and the prompt decide what is sampled, not the id")
    boolean dedupe;

    private Map<String, String> templates = Map.of();

    /** Reads the file. {@code prompt} is the other option's value, or null. */
    void check(String prompt) {
        if (!output.equals("rows") && !output.equals("columns")) {
            throw new UsageException("unknown layout '" + output + "'; known: rows, columns", "--prompts-output");
        }
        if (file == null && asColumns()) {
            throw new UsageException("columns needs the named prompts of --prompts", "--prompts-output");
        }
        if (file != null && prompt != null) {
            throw new UsageException("give either one prompt or a file of several, not both", "--prompt or --prompts");
        }
        if (file != null) {
            templates = PromptsFile.read(file).templates();
        }
    }

    boolean areGiven() {
        return file != null;
    }

    boolean asColumns() {
        return output.equals("columns");
    }

    /** Names, in order. */
    List<String> names() {
        return List.copyOf(templates.keySet());
    }

    /** Names and templates, for what a run is compared by. */
    String settings() {
        return templates.toString();
    }

    /** Fails on a column that the input lacks, with the prompt's name and the nearest column. */
    void checkColumns(Dataset<Row> rows) {
        templates.forEach((name, template) ->
                InputReader.requireColumns(rows, columns(template), "--prompts", "prompt '" + name + "': "));
    }

    /** The columns that any prompt refers to. */
    List<String> columns() {
        return templates.values().stream()
                .flatMap(template -> columns(template).stream())
                .distinct()
                .toList();
    }

    /** Sets all of it. */
    NosaGenerate.Builder apply(NosaGenerate.Builder builder) {
        builder.dedupe(dedupe);
        return areGiven() ? builder.prompts(templates).promptColumns(asColumns()) : builder;
    }

    private static List<String> columns(String template) {
        return new ArrayList<>(PromptTemplate.parse(template).columns());
    }
}
