package dev.nosa.cache;

/**
 * What a device with memory of its own has, and needs besides KV pages, in bytes.
 *
 * @param free of the device now
 * @param fixed weights, activations of one step, and room for the driver
 * @param perSequence scratch of each decoding sequence
 * @param hostFree of the host's memory, for the host tier
 */
public record DeviceMemory(long free, long fixed, long perSequence, long hostFree) {}
