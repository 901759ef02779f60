package dev.nosa.backend.cuda;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;

/** A class of tests of kernels on GPU 0; what a test put on it is gone behind the test. */
@Tag("gpu")
abstract class KernelGpuTest {
    /** Of the class that runs. */
    static KernelBench bench;

    @BeforeAll
    static void open() {
        bench = new KernelBench();
    }

    @AfterEach
    void free() {
        bench.free();
    }

    @AfterAll
    static void close() {
        bench.close();
    }
}
