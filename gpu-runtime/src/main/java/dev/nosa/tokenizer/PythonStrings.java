package dev.nosa.tokenizer;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import jinjava.javax.el.MethodNotFoundException;

/** Python's string methods, as far as chat templates use them. */
final class PythonStrings {
    private static final String WHITESPACE = " \t\n\r\u000B\f";

    private PythonStrings() {}

    /** An unknown method, or arguments that it does not take, is a {@link MethodNotFoundException}. */
    static Object call(String text, String method, Object... arguments) {
        String[] strings = Arrays.stream(arguments)
                .map(argument -> argument instanceof String string ? string : null)
                .toArray(String[]::new);
        boolean allStrings = !Arrays.asList(strings).contains(null);
        if (strings.length == 0) {
            return withoutArguments(text, method);
        }
        if (strings.length == 1 && allStrings) {
            return withOneString(text, method, strings[0]);
        }
        if (strings.length == 2 && allStrings && method.equals("replace")) {
            return text.replace(strings[0], strings[1]);
        }
        if (strings.length == 2 && strings[0] != null && arguments[1] instanceof Number limit) {
            return withLimit(text, method, strings[0], limit.intValue());
        }
        throw unknown(method, arguments.length);
    }

    private static Object withoutArguments(String text, String method) {
        return switch (method) {
            case "strip" -> strip(text, WHITESPACE, true, true);
            case "lstrip" -> strip(text, WHITESPACE, true, false);
            case "rstrip" -> strip(text, WHITESPACE, false, true);
            case "split" -> words(text);
            case "splitlines" -> text.lines().toList();
            case "upper" -> text.toUpperCase(Locale.ROOT);
            case "lower" -> text.toLowerCase(Locale.ROOT);
            case "capitalize" -> capitalize(text);
            case "title" -> title(text);
            default -> throw unknown(method, 0);
        };
    }

    private static Object withOneString(String text, String method, String argument) {
        return switch (method) {
            case "strip" -> strip(text, argument, true, true);
            case "lstrip" -> strip(text, argument, true, false);
            case "rstrip" -> strip(text, argument, false, true);
            case "startswith" -> text.startsWith(argument);
            case "endswith" -> text.endsWith(argument);
            case "find" -> (long) text.indexOf(argument);
            case "count" -> (long) split(text, argument, Integer.MAX_VALUE).size() - 1;
            case "split" -> split(text, argument, Integer.MAX_VALUE);
            case "removeprefix" -> text.startsWith(argument) ? text.substring(argument.length()) : text;
            case "removesuffix" ->
                text.endsWith(argument) ? text.substring(0, text.length() - argument.length()) : text;
            default -> throw unknown(method, 1);
        };
    }

    private static Object withLimit(String text, String method, String separator, int limit) {
        if (!method.equals("split")) {
            throw unknown(method, 2);
        }
        return split(text, separator, limit < 0 ? Integer.MAX_VALUE : limit);
    }

    private static String strip(String text, String characters, boolean left, boolean right) {
        int start = 0;
        int end = text.length();
        while (left && start < end && characters.indexOf(text.charAt(start)) >= 0) {
            start++;
        }
        while (right && start < end && characters.indexOf(text.charAt(end - 1)) >= 0) {
            end--;
        }
        return text.substring(start, end);
    }

    private static List<String> split(String text, String separator, int limit) {
        if (separator.isEmpty()) {
            throw new IllegalArgumentException("empty separator");
        }
        List<String> parts = new ArrayList<>();
        int start = 0;
        int found = text.indexOf(separator);
        while (found >= 0 && parts.size() < limit) {
            parts.add(text.substring(start, found));
            start = found + separator.length();
            found = text.indexOf(separator, start);
        }
        parts.add(text.substring(start));
        return parts;
    }

    private static List<String> words(String text) {
        return Arrays.stream(text.split("\\s+")).filter(word -> !word.isEmpty()).toList();
    }

    private static String capitalize(String text) {
        return text.isEmpty()
                ? text
                : text.substring(0, 1).toUpperCase(Locale.ROOT)
                        + text.substring(1).toLowerCase(Locale.ROOT);
    }

    private static String title(String text) {
        StringBuilder title = new StringBuilder();
        boolean inWord = false;
        for (char c : text.toCharArray()) {
            title.append(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
            inWord = Character.isLetter(c);
        }
        return title.toString();
    }

    private static MethodNotFoundException unknown(String method, int arguments) {
        return new MethodNotFoundException("no string method " + method + " with " + arguments + " such arguments");
    }
}
