package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.tensor.BFloat16;
import java.util.Random;

/** Random operands of a product on the GPU, and what Java makes of them. */
final class ProductData implements AutoCloseable {
    private final Product product;
    private final float[] x;
    private final float[] w;
    private final float[] bias;
    private final float[] out;
    private final DeviceBuffer deviceX;
    private final DeviceBuffer deviceW;
    private final DeviceBuffer deviceBias;
    private final DeviceBuffer deviceOut;

    ProductData(CudaContext context, Product product, Random random) {
        this.product = product;
        x = floats(product.rows() * product.inputs(), random);
        w = floats(product.outputs() * product.inputs(), random);
        bias = floats(product.bias() ? product.outputs() : 0, random);
        out = floats(product.rows() * product.outputs(), random);
        deviceX = upload(context, x, Product.Type.BF16);
        deviceW = upload(context, w, Product.Type.BF16);
        deviceBias = upload(context, bias, product.type());
        deviceOut = upload(context, out, product.type());
    }

    private static float[] floats(int count, Random random) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = BFloat16.round((float) random.nextGaussian());
        }
        return values;
    }

    private static DeviceBuffer upload(CudaContext context, float[] values, Product.Type type) {
        if (type == Product.Type.F32) {
            DeviceBuffer buffer = DeviceBuffer.allocate(context, 4L * values.length);
            buffer.copyFrom(0, values);
            return buffer;
        }
        short[] bits = new short[values.length];
        BFloat16.fromFloat(values, bits, values.length);
        DeviceBuffer buffer = DeviceBuffer.allocate(context, 2L * values.length);
        buffer.copyFrom(0, bits);
        return buffer;
    }

    long x() {
        return deviceX.address();
    }

    long w() {
        return deviceW.address();
    }

    long bias() {
        return deviceBias.address();
    }

    long out() {
        return deviceOut.address();
    }

    /** Whether the GPU has what the product gives when it has run so often. */
    void check(int runs) {
        float[] got = download();
        boolean bf16 = product.type() == Product.Type.BF16;
        for (int row = 0; row < product.rows(); row++) {
            for (int output = 0; output < product.outputs(); output++) {
                int at = row * product.outputs() + output;
                double once = product(row, output) + (product.bias() ? bias[output] : 0);
                double expected = product.add() ? out[at] + runs * once : once;
                double tolerance =
                        1e-3 + (bf16 ? Math.abs(expected) / 64 + Math.abs(once) / 64 : 1e-4 * Math.abs(once));
                assertThat((double) got[at])
                        .as("%s at (%d, %d)", product, row, output)
                        .isCloseTo(expected, within(tolerance));
            }
        }
    }

    private double product(int row, int output) {
        double sum = 0;
        for (int i = 0; i < product.inputs(); i++) {
            sum += (double) x[row * product.inputs() + i] * w[output * product.inputs() + i];
        }
        return sum;
    }

    private float[] download() {
        float[] got = new float[out.length];
        if (product.type() == Product.Type.F32) {
            deviceOut.copyTo(0, got);
        } else {
            short[] bits = new short[out.length];
            deviceOut.copyTo(0, bits);
            BFloat16.toFloat(bits, got, got.length);
        }
        return got;
    }

    @Override
    public void close() {
        deviceX.close();
        deviceW.close();
        deviceBias.close();
        deviceOut.close();
    }
}
