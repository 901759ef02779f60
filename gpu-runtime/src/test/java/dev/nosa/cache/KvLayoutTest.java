package dev.nosa.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class KvLayoutTest {
    private static KvLayout paged(int headDim, SparseConfig sparse, AttentionMode mode) {
        return new KvLayout(3, 2, headDim, mode, sparse, sparse.maxBudget() + 1, 2, 2, true);
    }

    private static SparseConfig windows(int window, int stride) {
        return new SparseConfig(64, window, stride, 1, 1, 6, 2, 0);
    }

    @ParameterizedTest
    @CsvSource({"128, 32, 16, 1600", "64, 8, 4, 384", "64, 64, 64, 2688", "128, 64, 64, 4032", "128, 8, 4, 448"})
    void aStatePageHoldsAsManyWholeBlocksAsFit(int headDim, int window, int stride, int tokens) {
        KvLayout layout = paged(headDim, windows(window, stride), AttentionMode.NOSA);
        assertThat(layout.stateTokens()).isEqualTo(tokens);
        assertThat(stateBytes(headDim, stride, tokens)).isLessThanOrEqualTo(256L * headDim);
        assertThat(stateBytes(headDim, stride, tokens + 64)).isGreaterThan(256L * headDim);
    }

    /** Of one layer and KV head, as kv_cache.cuh lays them out. */
    private static long stateBytes(int headDim, int stride, int tokens) {
        return (long) tokens / stride * headDim * 2 + tokens * 4L + tokens / stride * 4L;
    }

    @ParameterizedTest
    @EnumSource(AttentionMode.class)
    void statePagesCoverTheTokensAndModeFullHasNone(AttentionMode mode) {
        KvLayout layout = paged(64, windows(8, 4), mode);
        boolean sparse = mode.isSparse();
        assertThat(layout.statePages(1)).isEqualTo(sparse ? 1 : 0);
        assertThat(layout.statePages(384)).isEqualTo(sparse ? 1 : 0);
        assertThat(layout.statePages(385)).isEqualTo(sparse ? 2 : 0);
        assertThat(layout.statePages(131_072)).isEqualTo(sparse ? 342 : 0);
    }

    @Test
    void aPageIsAsLargeAsAHostBlock() {
        KvLayout layout = paged(64, windows(8, 4), AttentionMode.NOSA);
        assertThat(layout.hostBlockBytes()).isEqualTo(3 * 2 * 2 * 64 * 64 * 2L);
        assertThat(layout.deviceBytes(64)).isEqualTo(2 * layout.hostBlockBytes());
        assertThat(layout.deviceBytes(65)).isEqualTo(3 * layout.hostBlockBytes());
        assertThat(layout.deviceBytes(7 * 64)).isEqualTo((7 + 2) * layout.hostBlockBytes());
        assertThat(layout.deviceBytes(100 * 64)).isEqualTo((7 + 17) * layout.hostBlockBytes());
        assertThat(layout.hostBytes(100 * 64)).isEqualTo(100 * layout.hostBlockBytes());
    }

    @Test
    void modeFullHasAPageForEveryBlock() {
        KvLayout layout = paged(64, windows(8, 4), AttentionMode.FULL);
        assertThat(layout.deviceBytes(100 * 64 + 1)).isEqualTo(101 * layout.hostBlockBytes());
    }

    @Test
    void bytesOfLongSequencesOfLargeModelsDoNotOverflow() {
        SparseConfig sparse = SparseConfig.DEFAULT;
        KvLayout layout = new KvLayout(80, 8, 128, AttentionMode.NOSA, sparse, 2048, 2, 2, true);
        assertThat(layout.deviceBytes(131_072)).isEqualTo((2048L + 82) * 80 * 8 * 2 * 64 * 128 * 2);
    }

    @Test
    void moreSlotsChangeNothingElse() {
        KvLayout layout = paged(64, windows(8, 4), AttentionMode.NOSA);
        assertThat(layout.withSlots(9).slotsFor(100 * 64)).isEqualTo(9);
        assertThat(layout.withSlots(9).slotsFor(3 * 64)).isEqualTo(3);
        assertThat(layout.withSlots(9).withSlots(7)).isEqualTo(layout);
        assertThatThrownBy(() -> layout.withSlots(6)).hasMessageContaining("at least 7 slots are needed");
    }
}
