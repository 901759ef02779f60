package dev.nosa.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Writes safetensors files from their parts, so that a test can get any part wrong. */
final class RawSafetensors {
    private RawSafetensors() {}

    static void write(Path file, String header, byte[] data) throws IOException {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        write(file, json.length, json, data);
    }

    static void write(Path file, long headerLength, byte[] header, byte[] data) throws IOException {
        ByteBuffer buffer = little(Long.BYTES + header.length + data.length);
        Files.write(file, buffer.putLong(headerLength).put(header).put(data).array());
    }

    /** One header field. */
    static String tensor(String name, String dtype, String shape, String offsets) {
        return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}".formatted(name, dtype, shape, offsets);
    }

    static String header(String... fields) {
        return "{" + String.join(",", fields) + "}";
    }

    static byte[] floats(float... values) {
        ByteBuffer buffer = little(values.length * Float.BYTES);
        for (float value : values) {
            buffer.putFloat(value);
        }
        return buffer.array();
    }

    static byte[] halves(int... bits) {
        ByteBuffer buffer = little(bits.length * Short.BYTES);
        for (int value : bits) {
            buffer.putShort((short) value);
        }
        return buffer.array();
    }

    private static ByteBuffer little(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
