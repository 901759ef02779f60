package dev.nosa.job;

import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The keys of a flat HOCON or JSON text as they are written: where one occurs twice, the parser takes the last and says nothing. */
final class HoconKeys {
    private static final Pattern TOKEN = Pattern.compile(
            "\"{3}.*?\"{3,}" // a text over several lines
                    + "|\"(?:\\\\.|[^\"\\\\\\n])*\"" // a quoted text
                    + "|(?:#|//)[^\\n]*" // a comment
                    + "|[{},\\n=:]" // what separates
                    + "|(?:(?!//)[^\"#{},\\n=:])+" // anything else, such as a key without quotes
                    + "|.",
            Pattern.DOTALL);

    private HoconKeys() {}

    static Optional<String> firstDuplicate(String text) {
        Set<String> keys = new HashSet<>();
        StringBuilder key = new StringBuilder();
        boolean inValue = false;
        Matcher token = TOKEN.matcher(text);
        while (token.find()) {
            String found = token.group();
            if (found.startsWith("#") || found.startsWith("//")) {
                continue;
            }
            boolean assigns = "=:".contains(found);
            if (assigns && !inValue && !keys.add(unquoted(key))) {
                return Optional.of(unquoted(key));
            }
            boolean separates = "{},\n".contains(found);
            inValue = assigns || (inValue && !separates);
            if (separates) {
                key.setLength(0);
            } else if (!inValue) {
                key.append(found);
            }
        }
        return Optional.empty();
    }

    private static String unquoted(StringBuilder key) {
        String name = key.toString().strip();
        return name.length() > 1 && name.startsWith("\"") && name.endsWith("\"")
                ? name.substring(1, name.length() - 1)
                : name;
    }
}
