package dev.nosa.job;

import java.util.ServiceLoader;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.sources.DataSourceRegister;

/** Formats that Spark brings or finds on the classpath. */
final class DataSources {
    private DataSources() {}

    /** Fails on a format that is neither a source's short name nor its class. */
    static void require(String format, String option) {
        Set<String> names = new TreeSet<>(String.CASE_INSENSITIVE_ORDER);
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        ServiceLoader.load(DataSourceRegister.class, loader).forEach(source -> names.add(source.shortName()));
        if (!names.contains(format) && !isClass(format, loader) && !isClass(format + ".DefaultSource", loader)) {
            throw new UsageException(
                    "Spark finds no data source '" + format + "', but " + String.join(", ", names)
                            + "; another one needs its jar, by --jars or --packages",
                    option);
        }
    }

    private static boolean isClass(String name, ClassLoader loader) {
        try {
            Class.forName(name, false, loader);
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }
}
