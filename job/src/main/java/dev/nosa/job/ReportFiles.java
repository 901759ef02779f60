package dev.nosa.job;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.nosa.spark.EngineReport;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The files of a run's report, beside its manifest: what engines have said after each job, the page and its data. */
final class ReportFiles {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build();

    private static final Logger log = LoggerFactory.getLogger(ReportFiles.class);

    private final FileSystem fs;
    private final Path state;

    /** @param root of a run */
    ReportFiles(FileSystem fs, Path root) {
        this.fs = JsonFiles.withoutChecksums(fs);
        state = new Path(root, RunFolder.STATE);
    }

    /** Keeps what a job's engines have done, if it can: a job that has failed has a better error to tell. */
    void keep(List<EngineReport> engines) {
        if (engines.isEmpty()) {
            return;
        }
        try {
            JsonFiles.write(
                    fs,
                    new Path(engineFolder(), System.currentTimeMillis() + ".json"),
                    JSON.writeValueAsBytes(engines));
        } catch (IOException e) {
            log.warn("The report will not know what this job's engines have done: {}", e.getMessage());
        }
    }

    /** Of all jobs, each engine once; a damaged file counts as none, since only the report wants it. */
    private List<EngineReport> engines() throws IOException {
        if (!fs.exists(engineFolder())) {
            return List.of();
        }
        Map<String, EngineReport> engines = new LinkedHashMap<>();
        for (FileStatus file : fs.listStatus(engineFolder())) {
            try (InputStream in = fs.open(file.getPath())) {
                for (EngineReport report : JSON.readValue(in, EngineReport[].class)) {
                    engines.merge(report.engine(), report, EngineReport::newer);
                }
            } catch (JsonProcessingException e) {
                log.warn("{} is damaged: the report does without", file.getPath());
            }
        }
        return List.copyOf(engines.values());
    }

    /** The page. */
    Path page() {
        return new Path(state, "report.html");
    }

    /** Makes a report of what engines have said, and writes it if it can, which it returns: the results are there without it. */
    boolean write(Function<List<EngineReport>, ReportData> report) {
        try {
            byte[] json = JSON.writeValueAsBytes(report.apply(engines()));
            JsonFiles.write(fs, new Path(state, "report.json"), json);
            JsonFiles.write(
                    fs,
                    page(),
                    ReportPage.html(new String(json, StandardCharsets.UTF_8)).getBytes(StandardCharsets.UTF_8));
            return true;
        } catch (Exception e) { // Spark throws checked exceptions that it does not declare
            log.warn("{} could not be written: {}", page(), e.getMessage());
            return false;
        }
    }

    private Path engineFolder() {
        return new Path(state, "engines");
    }
}
