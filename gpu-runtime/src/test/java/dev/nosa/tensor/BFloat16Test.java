package dev.nosa.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class BFloat16Test {
    @Test
    void everyBf16SurvivesTheRoundTrip() {
        for (int bits = Short.MIN_VALUE; bits <= Short.MAX_VALUE; bits++) {
            float value = BFloat16.toFloat((short) bits);
            if (!Float.isNaN(value)) {
                assertThat(BFloat16.fromFloat(value)).isEqualTo((short) bits);
            }
        }
    }

    @Test
    void tiesGoToTheEvenNeighbour() {
        assertThat(BFloat16.round(Float.intBitsToFloat(0x3f808000))).isEqualTo(1f);
        assertThat(BFloat16.round(Float.intBitsToFloat(0x3f818000))).isEqualTo(Float.intBitsToFloat(0x3f820000));
    }

    @Test
    void notANumberStaysOne() {
        assertThat(BFloat16.round(Float.intBitsToFloat(0x7f800001))).isNaN();
    }
}
