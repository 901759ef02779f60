package dev.nosa.backend;

/**
 * Where a backend computes.
 *
 * @param backend its name
 * @param name of the device, for people
 * @param bytes of the device's own memory; 0 where it has none
 */
public record DeviceInfo(String backend, String name, long bytes) {}
