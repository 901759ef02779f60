package dev.nosa.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class SmallProductsTest {
    @Test
    void tilesAreCutToTheLargestSmallProduct() {
        assertThat(SmallProducts.smallRows(64, 64, 128)).isEqualTo(64);
        assertThat(SmallProducts.smallRows(64, 64, 384)).isEqualTo(40);
        assertThat(SmallProducts.smallRows(64, 64, 1024)).isEqualTo(8);
        assertThat(SmallProducts.smallRows(8, 64, 384)).isEqualTo(8);
    }

    @Test
    void aTileOfWhichNoPartIsSmallStaysWhole() {
        assertThat(SmallProducts.smallRows(64, 64, 4096)).isEqualTo(64);
    }

    @Test
    void theCoreTypeOverrulesTheProcessor() {
        String avx512 = "flags : fpu avx512f avx512vl ";
        assertThat(SmallProducts.available(null, avx512)).isTrue();
        assertThat(SmallProducts.available("", "flags : fpu avx2 ")).isFalse();
        assertThat(SmallProducts.available("Haswell", avx512)).isFalse();
        assertThat(SmallProducts.available("SkylakeX", "")).isTrue();
    }
}
