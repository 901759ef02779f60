package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PromptTemplateTest {
    private static final Map<String, String> ROW = Map.of("title", "T", "text", "body {title}", "a b", "spaced");

    @Test
    void putsColumnsIntoTheirPlaces() {
        assertThat(render("Title: {title}\n{text}\n{title}!")).isEqualTo("Title: T\nbody {title}\nT!");
    }

    @Test
    void doubledBracesStandForBraces() {
        assertThat(render("{{\"key\": \"{title}\"}} {{{title}}} }}{{")).isEqualTo("{\"key\": \"T\"} {T} }{");
    }

    @Test
    void aColumnsNameMayHoldSpaces() {
        assertThat(render("{a b}")).isEqualTo("spaced");
    }

    @Test
    void knowsItsColumns() {
        assertThat(PromptTemplate.parse("{b} {a} {{c}} {b}").columns()).containsExactly("b", "a");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "  \n"})
    void anEmptyTemplateIsAnError(String template) {
        assertThatThrownBy(() -> PromptTemplate.parse(template))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("prompt: the template is empty");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "abc {text | '{' at character 5 is never closed; write {{ for a brace",
                "abc } {text} | '}' at character 5 closes nothing; write }} for a brace",
                "{} {text} | '{}' at character 1 names no column; write {{}} for braces",
                "{a {text} | '{' at character 1 is never closed; write {{ for a brace"
            })
    void aBraceWithoutPartnerIsAnErrorThatSaysHowToWriteIt(String template, String message) {
        assertThatThrownBy(() -> PromptTemplate.parse(template))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(message);
    }

    private static String render(String template) {
        return PromptTemplate.parse(template).render(ROW::get);
    }
}
