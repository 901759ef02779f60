package dev.nosa.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class FastExpTest {
    @Test
    void errorStaysBelowHalfAMillionthOfTheLargestTerm() {
        double worst = 0;
        double worstRelative = 0;
        for (float x = -79.9f; x <= 0; x += 0.0013f) {
            double error = Math.abs(FastExp.exp(x) - Math.exp(x));
            worst = Math.max(worst, error);
            worstRelative = Math.max(worstRelative, error / Math.exp(x) / (1 - x));
        }
        assertThat(worst).isLessThan(5e-7);
        assertThat(worstRelative).isLessThan(3e-4);
    }

    @Test
    void zeroIsExactAndFarBelowItNothingIsLeft() {
        assertThat(FastExp.exp(0f)).isEqualTo(1f);
        assertThat(FastExp.exp(-88f)).isBetween(0f, 1e-34f);
        assertThat(FastExp.exp(Float.NEGATIVE_INFINITY)).isBetween(0f, 1e-34f);
    }

    @Test
    void notANumberStaysOne() {
        assertThat(FastExp.exp(Float.NaN)).isNaN();
        float[] values = {1f, Float.NaN, 2f};
        assertThat(FastExp.max(values, 0, 3)).isEqualTo(2f);
        assertThat(FastExp.softmaxNumerators(values, 0, 3, 2f)).isNaN();
    }

    @Test
    void softmaxNumeratorsTouchTheirRangeAlone() {
        float[] values = {9f, 1f, 0f, 1f, 9f};
        float sum = FastExp.softmaxNumerators(values, 1, 3, FastExp.max(values, 1, 3));
        assertThat(values[0]).isEqualTo(9f);
        assertThat(values[4]).isEqualTo(9f);
        assertThat(values[2]).isCloseTo((float) Math.exp(-1), within(1e-6f));
        assertThat(sum).isCloseTo((float) (2 + Math.exp(-1)), within(1e-6f));
    }
}
