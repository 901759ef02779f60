package dev.nosa.backend;

/**
 * What a GPU really does, measured: the ceilings of everything else.
 *
 * @param memory bytes per second of device memory, reads and writes of a large copy
 * @param link bytes per second from pinned host memory, one large copy
 * @param products BF16 operations per second of a large matrix product
 * @param gpu name of the GPU
 * @param driver newest CUDA version of its driver, such as 13.0
 */
public record DeviceRates(double memory, double link, double products, String gpu, String driver) {}
