package dev.nosa.job;

import java.io.PrintWriter;
import java.io.StringWriter;

/** A command line run in this JVM: its exit code, and what it printed. */
record CommandRun(int code, String out, String err) {
    static CommandRun of(String... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int code = Nosa.run(args, new PrintWriter(out, true), new PrintWriter(err, true));
        return new CommandRun(code, out.toString(), err.toString());
    }

    /** The one error line of a run that ended with exit code 2. */
    String usageError() {
        if (code != Failures.BAD_USAGE || err.lines().count() != 1) {
            throw new AssertionError("exit code " + code + ", stderr: " + err);
        }
        return err.strip();
    }
}
