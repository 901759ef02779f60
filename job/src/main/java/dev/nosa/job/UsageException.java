package dev.nosa.job;

/** What the user has to change, in one line that ends with the option in parentheses; exit code 2. */
final class UsageException extends RuntimeException {
    UsageException(String message, String option) {
        super(message + " (" + option + ")");
    }

    UsageException(String message, String option, Throwable cause) {
        super(message + " (" + option + ")", cause);
    }

    /** A record's refusal of {@code key = value}, where the key is the option's name. */
    static UsageException of(IllegalArgumentException refusal) {
        String message = refusal.getMessage();
        int end = message.indexOf(" = ");
        return end < 0
                ? new UsageException(message, "--help lists the options", refusal)
                : new UsageException(message, "--" + message.substring(0, end), refusal);
    }
}
