package dev.nosa.spark;

import org.apache.spark.sql.SparkSession;
import scala.jdk.javaapi.CollectionConverters;

/** A session with the extension, on the context of {@link LocalSpark}. */
final class ExtendedSpark {
    private static SparkSession session;

    private ExtendedSpark() {}

    static synchronized SparkSession session() {
        if (session == null) {
            SparkSession plain = LocalSpark.session();
            SparkSession.clearActiveSession();
            SparkSession.clearDefaultSession();
            session = SparkSession.builder()
                    .withExtensions(new NosaExtensions())
                    .config("spark.sql.planChangeValidation", true)
                    .getOrCreate();
            SparkSession.setDefaultSession(plain);
        }
        SparkSession.setActiveSession(session);
        return session;
    }

    /** Forgets the options of a test. */
    static void clear() {
        CollectionConverters.asJava(session.conf().getAll()).keySet().stream()
                .filter(key -> key.startsWith(NosaConf.PREFIX))
                .forEach(session.conf()::unset);
        SparkSession.clearActiveSession();
    }
}
