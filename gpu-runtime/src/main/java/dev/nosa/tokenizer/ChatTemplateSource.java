package dev.nosa.tokenizer;

import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A template's text with its whitespace settled as Jinja2's lexer does with {@code trim_blocks} and {@code
 * lstrip_blocks}, and its comments gone. Jinjava's own handling differs (it takes blanks off in the middle of a line),
 * and a prompt must match the training to the blank, so Jinjava gets a text with nothing left to decide.
 */
final class ChatTemplateSource {
    private static final Pattern STRING =
            Pattern.compile("'(?:[^'\\\\]|\\\\.)*'|\"(?:[^\"\\\\]|\\\\.)*\"", Pattern.DOTALL);
    private static final Pattern FILTER = Pattern.compile("\\|\\s*(\\w+)");
    private static final Pattern TEST = Pattern.compile("\\bis\\s+(?:not\\s+)?([A-Za-z_]\\w*)");
    private static final Pattern FILTERED_LOOP =
            Pattern.compile("for\\b(?=.*\\bif\\b)(?!.*\\belse\\b).*", Pattern.DOTALL);
    private static final Pattern RAW_END = Pattern.compile("\\{%[-+]?\\s*endraw\\b");
    private static final String WHITESPACE = " \t\n\u000B\f\r";

    private final String source;
    private final StringBuilder out = new StringBuilder();
    private final Set<String> filters = new TreeSet<>();
    private final Set<String> tests = new TreeSet<>();
    private int position;

    /** Whether what lies before {@link #position} ends a line, or is nothing. */
    private boolean lineStart = true;

    private ChatTemplateSource(String source) {
        this.source = source;
    }

    /** Settles {@code template}; syntax that Jinjava would take for something else is an {@link IllegalArgumentException}. */
    static ChatTemplateSource of(String template) {
        String lines = template.replace("\r\n", "\n").replace('\r', '\n');
        // Jinja2 drops one newline at a template's end.
        String source = lines.endsWith("\n") ? lines.substring(0, lines.length() - 1) : lines;
        ChatTemplateSource settled = new ChatTemplateSource(source);
        settled.settle();
        return settled;
    }

    /** For Jinjava. */
    String text() {
        return out.toString();
    }

    /** Names of the filters that the template uses. */
    Set<String> filters() {
        return filters;
    }

    /** Names of the tests that the template uses. */
    Set<String> tests() {
        return tests;
    }

    private void settle() {
        Pattern textEnd = Pattern.compile("\\{[{%#]");
        while (position < source.length()) {
            Matcher begin = textEnd.matcher(source);
            if (!begin.find(position)) {
                out.append(source, position, source.length());
                return;
            }
            settleText(begin.start());
            settleToken(begin.group().charAt(1));
        }
    }

    private void settleText(int end) {
        String text = source.substring(position, end);
        char sign = end + 2 < source.length() ? source.charAt(end + 2) : ' ';
        if (sign == '-') {
            text = stripEnd(text);
        } else if (sign != '+' && source.charAt(end + 1) != '{') {
            int line = text.lastIndexOf('\n') + 1;
            if ((line > 0 || lineStart) && stripEnd(text.substring(line)).isEmpty()) {
                text = text.substring(0, line);
            }
        }
        out.append(text);
        position = end;
    }

    private void settleToken(char kind) {
        int start = position;
        int end = tokenEnd(kind);
        String body = source.substring(start + 2, end - 2);
        char sign = body.isEmpty() ? ' ' : body.charAt(body.length() - 1);
        body = body.replaceFirst("^[-+]", "").replaceFirst("[-+]$", "").strip();
        position = end;
        if (sign == '-') {
            while (position < source.length() && WHITESPACE.indexOf(source.charAt(position)) >= 0) {
                position++;
            }
        } else if (sign != '+' && kind != '{' && position < source.length() && source.charAt(position) == '\n') {
            position++;
        }
        lineStart = source.charAt(position - 1) == '\n';
        if (kind == '{') {
            check(body);
            out.append("{{ ").append(body).append(" }}");
        } else if (kind == '%') {
            check(body);
            out.append("{% ").append(body).append(" %}");
            if (body.equals("raw")) {
                copyRaw();
            }
        }
    }

    /** Position after the token that begins at {@link #position}; its end within a string does not count. */
    private int tokenEnd(char kind) {
        char close = kind == '{' ? '}' : kind;
        Matcher string = STRING.matcher(source);
        int at = position + 2;
        while (at + 1 < source.length()) {
            if (source.charAt(at) == close && source.charAt(at + 1) == '}') {
                return at + 2;
            }
            boolean isQuote = source.charAt(at) == '\'' || source.charAt(at) == '"';
            at = kind != '#' && isQuote && string.find(at) && string.start() == at ? string.end() : at + 1;
        }
        throw new IllegalArgumentException("line " + line() + ": {" + kind + " is not closed");
    }

    private void check(String body) {
        String code = STRING.matcher(body).replaceAll("''");
        FILTER.matcher(code).results().forEach(match -> filters.add(match.group(1)));
        TEST.matcher(code).results().forEach(match -> tests.add(match.group(1)));
        if (FILTERED_LOOP.matcher(code).matches()) {
            throw new IllegalArgumentException("line " + line() + ": 'for ... if ...' is not supported");
        }
    }

    private void copyRaw() {
        Matcher end = RAW_END.matcher(source);
        int until = end.find(position) ? end.start() : source.length();
        out.append(source, position, until);
        position = until;
        lineStart = false;
    }

    private long line() {
        return source.substring(0, position).lines().count();
    }

    private static String stripEnd(String text) {
        int end = text.length();
        while (end > 0 && WHITESPACE.indexOf(text.charAt(end - 1)) >= 0) {
            end--;
        }
        return text.substring(0, end);
    }
}
