package dev.nosa.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;

/** A prompt with {@code {column}} references; {@code {{} and {@code }}} stand for braces. Immutable. */
public final class PromptTemplate implements Serializable {
    private static final long serialVersionUID = 1L;

    private final ArrayList<Part> parts;

    /** Literal text, or a column's value. */
    private record Part(String text, boolean isColumn) implements Serializable {}

    private PromptTemplate(List<Part> parts) {
        this.parts = new ArrayList<>(parts);
    }

    /**
     * Parses a template.
     *
     * @throws IllegalArgumentException if it is empty, or a brace has no partner
     */
    public static PromptTemplate parse(String template) {
        if (template == null || template.isBlank()) {
            throw new IllegalArgumentException("prompt: the template is empty");
        }
        List<Part> parts = new ArrayList<>();
        StringBuilder literal = new StringBuilder();
        int at = 0;
        while (at < template.length()) {
            char c = template.charAt(at);
            if ((c == '{' || c == '}') && template.startsWith(String.valueOf(c), at + 1)) {
                literal.append(c);
                at += 2;
            } else if (c == '{') {
                int end = template.indexOf('}', at);
                parts.add(new Part(literal.toString(), false));
                literal.setLength(0);
                parts.add(new Part(columnName(template, at, end), true));
                at = end + 1;
            } else if (c == '}') {
                throw new IllegalArgumentException(
                        "prompt: '}' at character " + (at + 1) + " closes nothing; write }} for a brace");
            } else {
                literal.append(c);
                at++;
            }
        }
        parts.add(new Part(literal.toString(), false));
        return new PromptTemplate(parts);
    }

    private static String columnName(String template, int from, int end) {
        int next = template.indexOf('{', from + 1);
        if (end < 0 || (next >= 0 && next < end)) {
            throw new IllegalArgumentException(
                    "prompt: '{' at character " + (from + 1) + " is never closed; write {{ for a brace");
        }
        String name = template.substring(from + 1, end).trim();
        if (name.isEmpty()) {
            throw new IllegalArgumentException(
                    "prompt: '{}' at character " + (from + 1) + " names no column; write {{}} for braces");
        }
        return name;
    }

    /** The columns that it refers to. */
    public Set<String> columns() {
        Set<String> columns = new LinkedHashSet<>();
        parts.stream().filter(Part::isColumn).forEach(part -> columns.add(part.text));
        return columns;
    }

    /** How often it refers to {@code column}. */
    int references(String column) {
        return (int) parts.stream()
                .filter(part -> part.isColumn && part.text.equals(column))
                .count();
    }

    /** The prompt, given each column's value. */
    public String render(Function<String, String> value) {
        StringBuilder prompt = new StringBuilder();
        for (Part part : parts) {
            prompt.append(part.isColumn ? value.apply(part.text) : part.text);
        }
        return prompt.toString();
    }
}
