package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CudaCheckTest {
    private final CudaCheck check = new CudaCheck(
            status -> "CUDA_ERROR_" + status + " (" + status + "): meaning",
            status -> "CUBLAS_STATUS_" + status + " (" + status + "): meaning");

    @Test
    void anErrorHasTheCallTheCodeAndItsMeaning() {
        CudaException error =
                catchThrowableOfType(CudaException.class, () -> check.driver("cuMemAlloc of 1.0 KiB", () -> 2));
        assertThat(error).hasMessage("cuMemAlloc of 1.0 KiB: CUDA_ERROR_2 (2): meaning");
        assertThat(error.code()).isEqualTo(2);
        assertThat(error.isContextLost()).isFalse();
        check.driver("cuMemAlloc of 1 byte", () -> 0);
    }

    @Test
    void aBlasErrorHasItsOwnNames() {
        assertThatThrownBy(() -> check.blas("cublasLtMatmul", () -> 15))
                .hasMessage("cublasLtMatmul: CUBLAS_STATUS_15 (15): meaning");
        assertThat(check.isUsable()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(ints = {214, 700, 702, 710, 719})
    void afterAnErrorThatEndsTheContextNothingIsCalledAnyMore(int status) {
        CudaException first =
                catchThrowableOfType(CudaException.class, () -> check.driver("cuStreamSynchronize", () -> status));
        assertThat(first.isContextLost()).isTrue();
        assertThat(first)
                .hasMessageStartingWith("cuStreamSynchronize: CUDA_ERROR_" + status)
                .hasMessageEndingWith("this process cannot use the GPU any more");

        AtomicInteger calls = new AtomicInteger();
        CudaException later =
                catchThrowableOfType(CudaException.class, () -> check.driver("cuMemAlloc", calls::incrementAndGet));
        assertThat(later)
                .hasMessage("cuMemAlloc: not tried, because the CUDA context is lost: " + first.getMessage())
                .hasCause(first);
        assertThat(later.code()).isEqualTo(status);
        assertThat(later.isContextLost()).isTrue();
        assertThatThrownBy(() -> check.blas("cublasLtMatmul", calls::incrementAndGet))
                .hasCause(first);
        check.release("cuMemFree", calls::incrementAndGet);
        assertThat(calls).hasValue(0);
    }

    @Test
    void theFirstOfTwoSuchErrorsIsTheCause() {
        CudaException first = catchThrowableOfType(CudaException.class, () -> check.driverStatus("first", 700));
        assertThatThrownBy(() -> check.driverStatus("second", 719)).hasMessageStartingWith("second: ");
        assertThatThrownBy(() -> check.ensureUsable("third")).hasCause(first);
    }

    @Test
    void afterTheCloseCallsFailAndFreesDoNothing() {
        AtomicInteger calls = new AtomicInteger();
        check.close();
        assertThatThrownBy(() -> check.driver("cuMemAlloc", calls::incrementAndGet))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("cuMemAlloc: the CUDA context is closed");
        check.release("cuMemFree", calls::incrementAndGet);
        assertThat(calls).hasValue(0);
    }

    @Test
    void aFreeThatFailsIsAnError() {
        assertThatThrownBy(() -> check.release("cuMemFree", () -> 1))
                .hasMessage("cuMemFree: CUDA_ERROR_1 (1): meaning");
    }
}
