package dev.nosa.engine;

import dev.nosa.backend.DeviceInfo;

/**
 * What an engine has to work with.
 *
 * @param maxBatch requests that run at once at most
 * @param deviceKvBytes of the device tier
 * @param hostBlockBytes of a block of the host tier; {@link EngineStats} counts such blocks
 */
public record EngineInfo(DeviceInfo device, int maxBatch, long deviceKvBytes, long hostBlockBytes) {}
