package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

class KernelArgsTest {
    private final KernelArgs args = new KernelArgs();

    /** Where the table says that a parameter lies, as the driver reads it. */
    private Pointer parameter(int index) {
        return new Pointer(args.table().value()).getPointer((long) index * Long.BYTES);
    }

    @Test
    void theTableLeadsToEveryParameter() {
        args.putInt(-7).putLong(1L << 50).putFloat(0.5f).putPointer(0xabc0L);
        assertThat(args.count()).isEqualTo(4);
        assertThat(parameter(0).getInt(0)).isEqualTo(-7);
        assertThat(parameter(1).getLong(0)).isEqualTo(1L << 50);
        assertThat(parameter(2).getFloat(0)).isEqualTo(0.5f);
        assertThat(parameter(3).getLong(0)).isEqualTo(0xabc0L);
        assertThat(new int[] {args.size(0), args.size(1), args.size(2), args.size(3)})
                .containsExactly(4, 8, 4, 8);
    }

    @Test
    void aStructIsCopiedFromPositionToLimitAndAligned() {
        ByteBuffer struct = ByteBuffer.allocateDirect(12).put(new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
        args.putInt(0).putStruct(struct.position(1).limit(11)).putInt(99);
        assertThat(parameter(1).getByteArray(0, 10)).containsExactly(2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
        assertThat(Pointer.nativeValue(parameter(1)) % 16).isZero();
        assertThat(parameter(2).getInt(0)).isEqualTo(99);
        assertThat(struct.position()).isEqualTo(1);
        assertThat(args.size(1)).isEqualTo(10);
    }

    @Test
    void clearedArgumentsAreUsedAgain() {
        args.putLong(1).putLong(2);
        args.clear().putInt(3);
        assertThat(args.count()).isOne();
        assertThat(args.size(0)).isEqualTo(4);
        assertThat(parameter(0).getInt(0)).isEqualTo(3);
    }

    @Test
    void tooManyOrTooLargeParametersAreRefused() {
        args.putStruct(ByteBuffer.allocate(4000));
        assertThatThrownBy(() -> args.putStruct(ByteBuffer.allocate(200)))
                .hasMessage("kernel parameter 1 of 200 bytes: at most 64 parameters of together 4096 bytes");
        args.clear();
        for (int i = 0; i < 64; i++) {
            args.putInt(i);
        }
        assertThatThrownBy(() -> args.putInt(64)).hasMessageStartingWith("kernel parameter 64 of 4 bytes");
    }
}
