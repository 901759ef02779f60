package dev.nosa.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class FastExpTest {
    @Test
    void relativeErrorStaysBelowThreeInTenMillion() {
        double worst = 0;
        for (float x = -86.9f; x <= 0; x += 0.0013f) {
            double exact = Math.exp(x);
            worst = Math.max(worst, Math.abs(FastExp.exp(x) - exact) / exact);
        }
        assertThat(worst).isLessThan(3e-7);
    }

    @Test
    void endsAreExact() {
        assertThat(FastExp.exp(0f)).isEqualTo(1f);
        assertThat(FastExp.exp(-88f)).isZero();
        assertThat(FastExp.exp(Float.NEGATIVE_INFINITY)).isZero();
    }

    @Test
    void softmaxNumeratorsIgnoreNegativeInfinity() {
        float[] values = {9f, 1f, Float.NEGATIVE_INFINITY, 1f};
        float sum = FastExp.softmaxNumerators(values, 1, 3);
        assertThat(values).containsExactly(9f, 1f, 0f, 1f);
        assertThat(sum).isCloseTo(2f, within(1e-6f));
    }
}
