package dev.nosa.backend.cuda;

/**
 * A product of BF16 matrices with F32 sums: {@code out[rows][outputs] = x[rows][inputs] * w[outputs][inputs]^T}, row by
 * row without gaps.
 *
 * @param type of {@code out}, and of the bias
 * @param add add to what is in {@code out}
 * @param bias add a vector [outputs] to every row
 */
record Product(int rows, int outputs, int inputs, Type type, boolean add, boolean bias) {
    /** Element types of results. */
    enum Type {
        BF16(CublasLtLibrary.CUDA_R_16BF),
        F32(CublasLtLibrary.CUDA_R_32F);

        private final int code;

        Type(int code) {
            this.code = code;
        }

        /** As a cudaDataType_t. */
        int code() {
            return code;
        }
    }

    Product {
        if (rows < 1 || outputs < 1 || inputs < 1) {
            throw new IllegalArgumentException(
                    "a product (" + rows + ", " + inputs + ") * (" + inputs + ", " + outputs + ")");
        }
    }

    @Override
    public String toString() {
        return String.format(
                "%s(%d, %d) %s (%d, %d) * (%d, %d)%s",
                type, rows, outputs, add ? "+=" : "=", rows, inputs, inputs, outputs, bias ? " + bias" : "");
    }
}
