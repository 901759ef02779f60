package dev.nosa.backend.cpu;

/**
 * Matrix products of a while.
 *
 * @param flops multiplications and additions, padding included
 * @param nanos wall time
 */
public record ProductStats(long flops, long nanos) {
    public double gigaflops() {
        return nanos == 0 ? 0 : (double) flops / nanos;
    }

    public ProductStats minus(ProductStats earlier) {
        return new ProductStats(flops - earlier.flops, nanos - earlier.nanos);
    }
}
