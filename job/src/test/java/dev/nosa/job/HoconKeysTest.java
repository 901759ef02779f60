package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HoconKeysTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "a = x\na = y",
                "a: \"x\"\n# a = 1\nb = 2\na = 3",
                "{\"a\": \"x\", \"a\": \"y\"}",
                "{ a : x, b : y, \"a\" = z }",
                "a = \"\"\"many\nb = lines\"\"\"\na = x",
                "  a   = x // a = 1\n\n\n  a=y",
                "a = \"it's \\\"quoted\\\", b = 1\"\na = x"
            })
    void findsAKeyThatOccursTwice(String text) {
        assertThat(HoconKeys.firstDuplicate(text)).contains("a");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "a = x\nb = y",
                "a = \"a = 1, a = 2\"\nb = \"\"\"a = x\na = y\n\"\"\"",
                "a = \"quotes \\\" a = 1\"\n",
                "# a = 1\na = 2 # a = 3\n// a = 4",
                "a = \"http://x\"\nb = \"http://x\"",
                "a = \"\"\"ends with a quote\"\"\"\"\nb = x",
            })
    void keysInValuesAndCommentsAreNone(String text) {
        assertThat(HoconKeys.firstDuplicate(text)).isEmpty();
    }

    @Test
    void namesWithBlanksAreKeysToo() {
        assertThat(HoconKeys.firstDuplicate("\"a b\" = 1\n\"a b\" = 2")).contains("a b");
    }
}
