package dev.nosa.tokenizer;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.interpret.Context.Library;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.loader.ResourceNotFoundException;
import com.hubspot.jinjava.objects.date.StrftimeFormatter;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** Jinjava set up as transformers sets up Jinja2, and closed: a template reaches its bindings and nothing else. */
final class ChatTemplateLanguage {
    /** Far above real prompts. */
    private static final long MAX_OUTPUT_CHARACTERS = 1L << 26;

    private static final Set<String> TAGS_THAT_LOAD = Set.of("include", "import", "from", "extends");

    /** Filters that evaluate their input as a template, or write to the log. */
    private static final Set<String> CLOSED_FILTERS = Set.of("render", "log");

    /** Without Jinjava's habits from before it followed Jinja2. */
    private static final LegacyOverrides AS_JINJA2 = LegacyOverrides.newBuilder()
            .withEvaluateMapKeys(true)
            .withIterateOverMapKeys(true)
            .withUsePyishObjectMapper(true)
            .withUseNaturalOperatorPrecedence(true)
            .withKeepNullableLoopValues(true)
            .build();

    private ChatTemplateLanguage() {}

    static Jinjava create() {
        JinjavaConfig config = JinjavaConfig.newBuilder()
                .withNestedInterpretationEnabled(false)
                .withEnableRecursiveMacroCalls(false)
                .withMaxOutputSize(MAX_OUTPUT_CHARACTERS)
                .withDisabled(Map.of(Library.TAG, TAGS_THAT_LOAD, Library.FILTER, CLOSED_FILTERS))
                .withLegacyOverrides(AS_JINJA2)
                .withElResolver(ChatTemplateResolver.create())
                .build();
        Jinjava jinjava = new Jinjava(config);
        jinjava.setResourceLocator((name, encoding, interpreter) -> {
            throw new ResourceNotFoundException("templates load no files: " + name);
        });
        jinjava.registerFilter(new ToJsonFilter());
        jinjava.registerFunction(function("raise_exception", "raiseException"));
        jinjava.registerFunction(function("strftime_now", "strftimeNow"));
        return jinjava;
    }

    /** The text of {@code source}. Jinjava ignores filters and tests that it does not know; here they are errors. */
    static String check(ChatTemplateSource source, Jinjava jinjava) {
        for (String filter : source.filters()) {
            if (CLOSED_FILTERS.contains(filter) || jinjava.getGlobalContext().getFilter(filter) == null) {
                throw new IllegalArgumentException("there is no filter '" + filter + "'");
            }
        }
        for (String test : source.tests()) {
            if (jinjava.getGlobalContext().getExpTest(test) == null) {
                throw new IllegalArgumentException("there is no test '" + test + "'");
            }
        }
        return source.text();
    }

    private static ELFunctionDefinition function(String name, String method) {
        return new ELFunctionDefinition("", name, Functions.class, method, String.class);
    }

    /** Functions for templates; public because Jinjava calls them by reflection. */
    public static final class Functions {
        private Functions() {}

        /** Ends the rendering with {@code message}. */
        public static String raiseException(String message) {
            throw new RaisedException(message);
        }

        /** The time in {@code strftime}'s format. */
        public static String strftimeNow(String format) {
            return StrftimeFormatter.format(ZonedDateTime.now(ZoneId.systemDefault()), format, Locale.ENGLISH);
        }
    }

    static final class RaisedException extends RuntimeException {
        RaisedException(String message) {
            super(message);
        }
    }
}
