package dev.nosa.job;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the user has to change, in one line that ends with the option in parentheses; exit code 2. */
final class UsageException extends RuntimeException {
    private static final Pattern KEY = Pattern.compile("([a-z][a-z-]*)(?: = |: )");

    UsageException(String message, String option) {
        super(message + " (" + option + ")");
    }

    UsageException(String message, String option, Throwable cause) {
        super(message + " (" + option + ")", cause);
    }

    /** A refusal that begins with {@code key = value:} or {@code key:}, where the key is the option's name. */
    static UsageException of(IllegalArgumentException refusal) {
        Matcher key = KEY.matcher(refusal.getMessage());
        String option = key.lookingAt() ? "--" + key.group(1) : "see --help";
        return new UsageException(refusal.getMessage(), option, refusal);
    }
}
