package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class CudaBackendTest {
    private static final long WEIGHTS = 16_400_000_000L;
    private static final long BLOCKS_OF_A_STEP = 64L * 64 * (2 << 20);

    /** The cases of docs/performance.md at batch 64: so many of 64 blocks are fetched. */
    @Test
    void aStepIsHalvedWhereTheLinkTakesLongerThanTheWeightsAndTheResidentBlocks() {
        assertThat(paysToHalve(0)).isFalse();
        assertThat(paysToHalve(1)).isFalse();
        assertThat(paysToHalve(5)).isTrue();
        assertThat(paysToHalve(12)).isTrue();
    }

    private static boolean paysToHalve(int turnover) {
        long fetched = BLOCKS_OF_A_STEP / 64 * turnover;
        return CudaBackend.paysToHalve(fetched, BLOCKS_OF_A_STEP - fetched, WEIGHTS);
    }
}
