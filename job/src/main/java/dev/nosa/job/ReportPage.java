package dev.nosa.job;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** The report of a run as one HTML file, which loads nothing: it opens from a disk, an archive or a mail. */
final class ReportPage {
    private static final String TEMPLATE = "report.html";
    private static final String PLACE = "/*REPORT*/";

    private ReportPage() {}

    /**
     * The page of a report.
     *
     * @param json the report as one JSON object; may hold any text, such as that of a document
     */
    static String html(String json) {
        return template().replace(PLACE, escape(json));
    }

    /**
     * The same JSON without what ends a script element or changes how it is read, {@code </script>} and {@code <!--}, and
     * without line ends that older scripts do not allow in strings. JSON has these characters inside strings alone.
     */
    private static String escape(String json) {
        return json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029");
    }

    private static String template() {
        try (InputStream in = ReportPage.class.getResourceAsStream(TEMPLATE)) {
            if (in == null) {
                throw new IllegalStateException(TEMPLATE + " is not in the jar: build it anew");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + TEMPLATE + " from the jar", e);
        }
    }
}
