package dev.nosa.backend.cpu;

/** OpenBLAS's own speed: one large square product a thread, all at once. */
public final class SgemmPeak {
    private static final int SIZE = 1024;
    private static final int REPEATS = 5;

    private SgemmPeak() {}

    /** The best of five rounds over {@code threads} workers. */
    public static ProductStats measure(int threads) {
        int elements = SIZE * SIZE;
        ProductStats best = new ProductStats(0, 1);
        try (CpuThreads workers = new CpuThreads(threads);
                NativeFloats a = new NativeFloats(elements);
                NativeFloats b = new NativeFloats(elements);
                NativeFloats c = new NativeFloats((long) threads * elements)) {
            for (int i = 0; i < elements; i++) {
                a.put(i, i % 7);
                b.put(i, i % 5);
            }
            for (int repeat = 0; repeat < REPEATS; repeat++) {
                long start = System.nanoTime();
                workers.run(
                        threads,
                        (worker, task) -> CpuLinear.gemm(
                                SIZE,
                                SIZE,
                                SIZE,
                                a.view(),
                                SIZE,
                                b.view(),
                                SIZE,
                                0f,
                                c.view().position((long) task * elements),
                                SIZE));
                ProductStats round = new ProductStats(2L * threads * SIZE * elements, System.nanoTime() - start);
                best = round.gigaflops() > best.gigaflops() ? round : best;
            }
        }
        return best;
    }
}
