package dev.nosa.backend.cuda;

import dev.nosa.backend.DeviceRates;
import java.util.Arrays;

/** Measures {@link DeviceRates}. */
final class CudaRates {
    private static final long COPY_BYTES = 1L << 30;
    private static final int SIZE = 8192;
    private static final int REPEATS = 5;

    private CudaRates() {}

    /** Takes 2 GiB of the GPU's memory and 1 GiB of pinned memory for a moment. */
    static DeviceRates measure(CudaContext context, CudaStream stream, CublasLt blas) {
        try (DeviceBuffer a = DeviceBuffer.allocate(context, COPY_BYTES);
                DeviceBuffer b = DeviceBuffer.allocate(context, COPY_BYTES);
                PinnedBuffer host = PinnedBuffer.allocate(context, COPY_BYTES)) {
            randomize(a);
            randomize(b);
            double products = perSecond(context, stream, 2.0 * SIZE * SIZE * SIZE, () -> {
                long matrix = 2L * SIZE * SIZE;
                Product product = new Product(SIZE, SIZE, SIZE, Product.Type.BF16, false, false);
                blas.multiply(stream, product, a.address(), a.address(matrix), 0, b.address());
            });
            double memory = perSecond(context, stream, 2.0 * COPY_BYTES, () -> b.copyFrom(stream, 0, a, 0, COPY_BYTES));
            double link = perSecond(context, stream, COPY_BYTES, () -> a.copyFrom(stream, 0, host, 0, COPY_BYTES));
            CudaDevice device = context.device();
            return new DeviceRates(
                    memory, link, products, device.name(), CudaDevice.versionText(device.driverVersion()));
        }
    }

    /** Small BF16 values of random mantissas: a product of zeros would be faster. */
    private static void randomize(DeviceBuffer buffer) {
        short[] values = new short[1 << 20];
        java.util.Random random = new java.util.Random(1);
        for (int i = 0; i < values.length; i++) {
            values[i] = (short) (0x3c00 | random.nextInt() & 0x80ff);
        }
        for (long at = 0; at < buffer.bytes(); at += (long) values.length * Short.BYTES) {
            buffer.copyFrom(at, values);
        }
    }

    /** Median of some runs, after one that warms up. */
    static double perSecond(CudaContext context, CudaStream stream, double amount, Runnable work) {
        work.run();
        double[] rates = new double[REPEATS];
        try (CudaEvent start = new CudaEvent(context, true);
                CudaEvent end = new CudaEvent(context, true)) {
            for (int i = 0; i < REPEATS; i++) {
                start.record(stream);
                work.run();
                end.record(stream);
                end.synchronize();
                rates[i] = amount / (end.millisSince(start) / 1e3);
            }
        }
        Arrays.sort(rates);
        return rates[REPEATS / 2];
    }
}
