package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.tensor.BFloat16;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The access layer on a real GPU, against Java arithmetic. Figures of speed are logged, and no test depends on them. */
@Tag("gpu")
class CudaAccessGpuTest {
    private static final Logger log = LoggerFactory.getLogger(CudaAccessGpuTest.class);
    private static final String KERNELS = "dev/nosa/backend/cuda/access";

    private static CudaContext context;
    private static CudaStream stream;
    private static KernelLibrary library;
    private static CublasLt blas;

    private final KernelArgs args = new KernelArgs();
    private final Random random = new Random(7);

    @BeforeAll
    static void open() {
        assertThat(CudaDriver.unavailable()).isEmpty();
        context = CudaContext.open(0);
        stream = new CudaStream(context);
        library = KernelLibrary.load(context, KERNELS);
        blas = CublasLt.open(context, CublasLt.WORKSPACE_BYTES);
        log.info("{}; {}", context.device(), blas.description());
    }

    @AfterAll
    static void close() {
        blas.close();
        library.close();
        stream.close();
        context.close();
    }

    @Test
    void theDeviceIsDescribed() {
        CudaDevice device = context.device();
        assertThat(device.name()).isNotBlank();
        assertThat(device.computeCapability()).isGreaterThanOrEqualTo(80);
        assertThat(device.multiprocessors()).isPositive();
        assertThat(device.sharedBytes()).isGreaterThan(48 << 10);
        assertThat(context.freeBytes()).isPositive().isLessThanOrEqualTo(device.totalBytes());
    }

    @Test
    void anotherGpuThanThereIsIsRefused() {
        assertThat(CudaDriver.unavailable(999))
                .hasValueSatisfying(reason -> assertThat(reason).startsWith("no GPU 999 among the "));
        assertThatThrownBy(() -> CudaContext.open(999)).hasMessageContaining("cuDeviceGet of GPU 999: CUDA_ERROR_");
    }

    @Test
    void arraysAndBuffersComeBackAsTheyWent() {
        try (DeviceBuffer buffer = DeviceBuffer.allocate(context, 64)) {
            buffer.fill(0xff);
            buffer.copyFrom(4, new int[] {1, 2, 3});
            buffer.copyFrom(16, new float[] {0.5f, -2});
            buffer.copyFrom(24, new short[] {7, 8});
            buffer.copyFrom(32, new long[] {1L << 40});
            buffer.copyFrom(40, heapAndDirect(4, 9, false));
            buffer.copyFrom(44, heapAndDirect(4, 10, true));
            buffer.copyFrom(48, new byte[] {5});
            ByteBuffer all =
                    ByteBuffer.allocate(70).order(ByteOrder.LITTLE_ENDIAN).position(6);
            buffer.copyTo(0, all);
            ByteBuffer got = all.slice().order(ByteOrder.LITTLE_ENDIAN);
            assertThat(all.position()).isEqualTo(6);
            assertThat(new int[] {got.getInt(0), got.getInt(4), got.getInt(12)}).containsExactly(-1, 1, 3);
            assertThat(got.getFloat(20)).isEqualTo(-2);
            assertThat(got.getShort(26)).isEqualTo((short) 8);
            assertThat(got.getLong(32)).isEqualTo(1L << 40);
            assertThat(new int[] {got.getInt(40), got.getInt(44)}).containsExactly(9, 10);
            assertThat(new byte[] {got.get(48), got.get(49)}).containsExactly(5, -1);
            int[] part = new int[2];
            buffer.copyTo(8, part);
            assertThat(part).containsExactly(2, 3);
        }
    }

    /** A buffer whose remaining bytes are one int, behind {@code before} others. */
    private static ByteBuffer heapAndDirect(int before, int value, boolean direct) {
        ByteBuffer buffer = direct ? ByteBuffer.allocateDirect(before + 4) : ByteBuffer.allocate(before + 4);
        return buffer.order(ByteOrder.LITTLE_ENDIAN).putInt(before, value).position(before);
    }

    @Test
    void nothingIsAllocatedForNoBytes() {
        try (DeviceBuffer buffer = DeviceBuffer.allocate(context, 0);
                PinnedBuffer pinned = PinnedBuffer.allocate(context, 0)) {
            buffer.fill(1);
            buffer.copyFrom(0, new int[0]);
            buffer.copyFrom(stream, 0, pinned, 0, 0);
            assertThat(buffer.address()).isZero();
            assertThat(pinned.buffer().capacity()).isZero();
        }
    }

    @Test
    void copiesPastTheEndAreRefused() {
        try (DeviceBuffer buffer = DeviceBuffer.allocate(context, 16)) {
            assertThatThrownBy(() -> buffer.copyFrom(8, new int[3])).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> buffer.address(17)).isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    @Test
    void tooLargeABufferSaysWhatIsFreeAndHarmsNothing() {
        long bytes = 2 * context.device().totalBytes();
        assertThatThrownBy(() -> DeviceBuffer.allocate(context, bytes))
                .isInstanceOf(CudaException.class)
                .hasMessageMatching(
                        "cuMemAlloc of .*iB where .*iB are free: CUDA_ERROR_OUT_OF_MEMORY \\(2\\): out of memory");
        context.synchronize();
    }

    @Test
    void aKernelTakesParametersOfEveryKind() {
        int count = 1000;
        float[] values = floats(count);
        float[] offset = floats(count);
        try (DeviceBuffer a = DeviceBuffer.allocate(context, 4L * count);
                DeviceBuffer b = DeviceBuffer.allocate(context, 4L * count)) {
            a.copyFrom(0, values);
            b.copyFrom(0, offset);
            affine(a.address(), b, count, 3);
            float[] got = new float[count];
            a.copyTo(0, got);
            float[] expected = values.clone();
            for (int i = 3; i < count; i++) {
                expected[i] = values[i] * 2 - 5 + offset[i] + 0.25f + 11;
            }
            assertThat(got).containsExactly(expected, within(1e-5f));
        }
    }

    /** {@code values = values * 2 - 5 + offset + 0.25 + 11} from {@code first} on. */
    private void affine(long values, DeviceBuffer offset, int count, long first) {
        ByteBuffer affine = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
        affine.putLong(0, values).putLong(8, count).putFloat(16, 2).putShort(20, (short) -5);
        args.clear()
                .putInt(11)
                .putStruct(affine)
                .putPointer(offset)
                .putFloat(0.25f)
                .putLong(first);
        library.kernel("access_affine").launch(stream, 4, 1, 1, 128, 0, args);
    }

    @Test
    void wrongLaunchesAreRefusedWithTheKernelsName() {
        Kernel kernel = library.kernel("access_shared");
        args.clear().putLong(0);
        assertThatThrownBy(() -> kernel.launch(stream, 1, 1, 1, 32, 0, args))
                .hasMessage("kernel access_shared: 1 parameters: it has 2");
        args.putLong(0);
        assertThatThrownBy(() -> kernel.launch(stream, 1, 1, 1, 32, 0, args))
                .hasMessage("kernel access_shared: parameter 1 of 8 bytes: it has 4");
        assertThatThrownBy(() -> kernel.launch(stream, 1, 70_000, 1, 32, 0, args))
                .hasMessageStartingWith("kernel access_shared: grid (1, 70000, 1)");
        assertThatThrownBy(() -> kernel.launch(stream, 1, 1, 1, 4096, 0, args))
                .hasMessageStartingWith("kernel access_shared: 4096 threads a block");
        args.clear().putLong(0).putInt(0);
        assertThatThrownBy(() -> kernel.launch(stream, 1, 1, 1, 32, 10 << 20, args))
                .hasMessageStartingWith("kernel access_shared: 10485760 bytes of dynamic shared memory");
        assertThatThrownBy(() -> library.kernel("access_none")).hasMessageContaining("kernel access_none is in none");
    }

    @Test
    void aBlockGetsMoreSharedMemoryThanTheDefault() {
        int count = 24_000;
        try (DeviceBuffer out = DeviceBuffer.allocate(context, 4)) {
            args.clear().putPointer(out).putInt(count);
            library.kernel("access_shared").launch(stream, 1, 1, 1, 256, 4 * count, args);
            int[] sum = new int[1];
            out.copyTo(0, sum);
            assertThat(sum).containsExactly(count / 2 * (count - 1));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1, 64, 128, BF16, false, false",
        "3, 2560, 512, BF16, false, true",
        "64, 512, 1024, F32, false, false",
        "100, 768, 256, F32, true, false",
        "17, 128, 64, F32, true, true",
        "130, 64, 512, BF16, true, true",
    })
    void productsAreThoseOfJava(int rows, int outputs, int inputs, Product.Type type, boolean add, boolean bias) {
        Product product = new Product(rows, outputs, inputs, type, add, bias);
        try (ProductData data = new ProductData(context, product, random)) {
            blas.multiply(stream, product, data.x(), data.w(), data.bias(), data.out());
            data.check(1);
            blas.multiply(stream, product, data.x(), data.w(), data.bias(), data.out());
            data.check(2);
        }
    }

    @Test
    void aProductOfUnalignedRowsIsRefused() {
        Product product = new Product(1, 64, 64, Product.Type.F32, false, false);
        assertThatThrownBy(() -> blas.multiply(stream, product, 256, 264, 0, 256))
                .hasMessageStartingWith("F32(1, 64) = (1, 64) * (64, 64): x at 0x100, w at 0x108");
    }

    @Test
    void aCapturedGraphRunsAsOftenAsItIsLaunched() {
        Product product = new Product(16, 128, 256, Product.Type.F32, true, false);
        int count = 500;
        float[] offset = floats(count);
        try (ProductData data = new ProductData(context, product, random);
                DeviceBuffer values = DeviceBuffer.allocate(context, 4L * count);
                DeviceBuffer offsets = DeviceBuffer.allocate(context, 4L * count)) {
            offsets.copyFrom(0, offset);
            values.fill(0);
            try (CudaGraph graph = CudaGraph.capture(context, stream, () -> {
                affine(values.address(), offsets, count, 0);
                blas.multiply(stream, product, data.x(), data.w(), data.bias(), data.out());
            })) {
                graph.launch(stream);
                graph.launch(stream);
            }
            data.check(2);
            float[] got = new float[count];
            values.copyTo(0, got);
            float[] expected = new float[count];
            for (int i = 0; i < count; i++) {
                float step = -5 + offset[i] + 0.25f + 11;
                expected[i] = step * 2 + step;
            }
            assertThat(got).containsExactly(expected, within(1e-4f));
        }
    }

    @Test
    void aStreamIsUsableAfterACaptureThatFailed() {
        assertThatThrownBy(() -> CudaGraph.capture(context, stream, context::synchronize))
                .isInstanceOf(CudaException.class)
                .hasMessageContaining("cuCtxSynchronize: CUDA_ERROR_STREAM_CAPTURE_");
        assertThatThrownBy(() -> CudaGraph.capture(context, stream, () -> {
                    throw new IllegalStateException("no such luck");
                }))
                .hasMessage("no such luck");
        stream.synchronize();
        aBlockGetsMoreSharedMemoryThanTheDefault();
    }

    @Test
    void aKernelReadsAndWritesPinnedMemory() {
        int count = 300;
        try (PinnedBuffer pinned = PinnedBuffer.allocate(context, 4L * count);
                DeviceBuffer offsets = DeviceBuffer.allocate(context, 4L * count)) {
            offsets.fill(0);
            for (int i = 0; i < count; i++) {
                pinned.buffer().putFloat(4 * i, i);
            }
            affine(pinned.deviceAddress(), offsets, count, 0);
            stream.synchronize();
            assertThat(pinned.buffer(4 * 7, 4).getFloat(0)).isEqualTo(7 * 2 - 5 + 0.25f + 11);
        }
    }

    @Test
    void copiesOfPinnedMemoryRunOnAStream() {
        long bytes = 256L << 20;
        try (PinnedBuffer from = PinnedBuffer.allocate(context, bytes);
                PinnedBuffer to = PinnedBuffer.allocate(context, bytes);
                DeviceBuffer buffer = DeviceBuffer.allocate(context, bytes);
                DeviceBuffer other = DeviceBuffer.allocate(context, bytes)) {
            for (int at = 0; at < bytes; at += 4096) {
                from.buffer().putInt(at, at + 1);
            }
            buffer.copyFrom(stream, 0, from, 0, bytes);
            log.info("Pinned memory to GPU {} GB/s", speed(bytes, () -> buffer.copyFrom(stream, 0, from, 0, bytes)));
            other.copyFrom(stream, 0, buffer, 0, bytes);
            other.fill(stream, 4096, 4096, 1);
            log.info("GPU to pinned memory {} GB/s", speed(bytes, () -> other.copyTo(stream, 0, to, 0, bytes)));
            for (int at = 0; at < bytes; at += 4096) {
                assertThat(to.buffer(at, 4).getInt()).isEqualTo(at == 4096 ? 0x01010101 : at + 1);
            }
        }
    }

    private static double speed(long bytes, Runnable copy) {
        try (CudaEvent start = new CudaEvent(context, true);
                CudaEvent end = new CudaEvent(context, true)) {
            start.record(stream);
            copy.run();
            end.record(stream);
            end.synchronize();
            assertThat(end.isDone()).isTrue();
            return bytes / end.millisSince(start) / 1e6;
        }
    }

    @Test
    void anArenaPinsItsSlabs() {
        long blockBytes = 48L << 20;
        try (PinnedArena arena = PinnedArena.start(context, blockBytes, 25)) {
            assertThat(arena.slabs()).isEqualTo(2);
            assertThat(arena.blocksPerSlab()).isEqualTo(21);
            PinnedBuffer last = arena.slab(1);
            assertThat(last.bytes()).isEqualTo(4 * blockBytes);
            assertThat(last.deviceAddress())
                    .isNotZero()
                    .isNotEqualTo(arena.slab(0).deviceAddress());
        }
    }

    @Test
    void streamsWaitForEvents() {
        try (CudaStream other = new CudaStream(context);
                CudaEvent event = new CudaEvent(context, false);
                DeviceBuffer buffer = DeviceBuffer.allocate(context, 64L << 20)) {
            buffer.fill(stream, 0, buffer.bytes(), 1);
            event.record(stream);
            other.waitFor(event);
            buffer.fill(other, 0, buffer.bytes(), 2);
            byte[] got = new byte[1 << 20];
            buffer.copyTo(buffer.bytes() - got.length, got);
            assertThat(got).containsOnly(2);
        }
    }

    @Test
    void launchesAreMeasured() {
        Product product = new Product(16, 256, 256, Product.Type.BF16, false, false);
        try (ProductData data = new ProductData(context, product, random);
                DeviceBuffer values = DeviceBuffer.allocate(context, 256)) {
            values.fill(0);
            affine(values.address(), values, 64, 0);
            double launch = micros(() -> affine(values.address(), values, 64, 0));
            double multiply = micros(() -> blas.multiply(stream, product, data.x(), data.w(), data.bias(), data.out()));
            log.info("A launch takes {} us, a product's call {} us", launch, multiply);
        }
    }

    private static double micros(Runnable call) {
        double[] rounds = new double[5];
        for (int round = 0; round < rounds.length; round++) {
            stream.synchronize();
            long start = System.nanoTime();
            for (int i = 0; i < 400; i++) {
                call.run();
            }
            rounds[round] = (System.nanoTime() - start) / 400e3;
        }
        stream.synchronize();
        Arrays.sort(rounds);
        return rounds[0];
    }

    private float[] floats(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = BFloat16.round((float) random.nextGaussian());
        }
        return values;
    }
}
