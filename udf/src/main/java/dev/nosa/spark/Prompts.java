package dev.nosa.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** The prompts of each row, in order: one without a name, or named ones. Immutable. */
final class Prompts implements Serializable {
    private static final long serialVersionUID = 1L;

    private final ArrayList<Named> all;

    /** {@code name} is null if it is the only one and needs none. */
    record Named(String name, PromptTemplate template) implements Serializable {
        /** As a message's beginning. */
        String where() {
            return name == null ? "prompt" : "prompts: prompt '" + name + "'";
        }
    }

    private Prompts(List<Named> all) {
        this.all = new ArrayList<>(all);
    }

    static Prompts single(PromptTemplate template) {
        return new Prompts(List.of(new Named(null, template)));
    }

    /** Templates by name; an {@link IllegalArgumentException} says which is wrong. */
    static Prompts named(Map<String, String> templates) {
        if (templates.isEmpty()) {
            throw new IllegalArgumentException("prompts: there are none");
        }
        Set<String> names = new TreeSet<>(String.CASE_INSENSITIVE_ORDER); // they may become columns
        List<Named> all = new ArrayList<>();
        templates.forEach((name, template) -> {
            if (!name.matches("[A-Za-z0-9_-]+")) {
                throw new IllegalArgumentException(
                        "prompts: the name '" + name + "' must have letters, digits, _ and - alone");
            }
            if (!names.add(name)) {
                throw new IllegalArgumentException("prompts: the name '" + name + "' occurs twice");
            }
            all.add(new Named(name, parse(name, template)));
        });
        return new Prompts(all);
    }

    private static PromptTemplate parse(String name, String template) {
        try {
            return PromptTemplate.parse(template);
        } catch (IllegalArgumentException e) {
            String reason = e.getMessage().replaceFirst("^prompt: ", "");
            throw new IllegalArgumentException("prompts: prompt '" + name + "': " + reason, e);
        }
    }

    List<Named> all() {
        return List.copyOf(all);
    }

    int count() {
        return all.size();
    }

    boolean areNamed() {
        return all.get(0).name != null;
    }

    /** The columns that any of them refers to. */
    Set<String> columns() {
        Set<String> columns = new LinkedHashSet<>();
        all.forEach(prompt -> columns.addAll(prompt.template.columns()));
        return columns;
    }
}
