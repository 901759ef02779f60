package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BytesTest {
    @ParameterizedTest
    @CsvSource({
        "0, 0 bytes",
        "1023, 1023 bytes",
        "1024, 1.0 KiB",
        "1610612736, 1.5 GiB",
        "-2097152, -2.0 MiB",
        "9223372036854775807, 8388608.0 TiB",
    })
    void sizesHaveOneDecimal(long bytes, String text) {
        assertThat(Bytes.text(bytes)).isEqualTo(text);
    }
}
