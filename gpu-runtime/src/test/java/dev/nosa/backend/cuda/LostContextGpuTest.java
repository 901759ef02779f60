package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** A kernel that ends the context, in a process of its own: no other test could use the GPU after it. */
@Tag("gpu")
class LostContextGpuTest {
    @Test
    void theFirstCauseIsTheErrorOfEveryLaterCall() throws IOException, InterruptedException {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        Process process = new ProcessBuilder(
                        java, "-cp", System.getProperty("java.class.path"), LostContextGpuTest.class.getName())
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        List<String> lines =
                output.lines().filter(line -> line.startsWith("> ")).toList();
        assertThat(lines).as(output).hasSize(3);
        assertThat(lines.get(0))
                .startsWith("> true cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (700): an illegal memory access")
                .endsWith("this process cannot use the GPU any more");
        assertThat(lines.get(1))
                .startsWith("> true cuMemAlloc of 16 bytes: not tried, because the CUDA context is lost: cuStreamSync");
        assertThat(lines.get(2)).isEqualTo("> closed");
    }

    /** The process. */
    public static void main(String[] arguments) {
        CudaContext context = CudaContext.open(0);
        CudaStream stream = new CudaStream(context);
        KernelLibrary library = KernelLibrary.load(context, "dev/nosa/backend/cuda/access");
        DeviceBuffer buffer = DeviceBuffer.allocate(context, 16);
        KernelArgs args = new KernelArgs().putPointer(64);
        library.kernel("access_illegal").launch(stream, 1, 1, 1, 1, 0, args);
        report(stream::synchronize);
        report(() -> DeviceBuffer.allocate(context, 16));
        buffer.close();
        library.close();
        stream.close();
        context.close();
        System.out.println("> closed");
    }

    private static void report(Runnable call) {
        try {
            call.run();
        } catch (CudaException e) {
            System.out.println("> " + e.isContextLost() + " " + e.getMessage());
        }
    }
}
