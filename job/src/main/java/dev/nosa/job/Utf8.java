package dev.nosa.job;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;

/**
 * Text of a file's bytes, or why there is none.
 *
 * @param text null if the bytes are not UTF-8
 * @param error null if they are
 */
record Utf8(String text, String error) {
    private static final char BYTE_ORDER_MARK = '\uFEFF';

    /** Decodes strictly: nothing is replaced. A leading byte order mark is no part of the text. */
    static Utf8 decode(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        CharBuffer out = CharBuffer.allocate(bytes.length);
        CoderResult result = StandardCharsets.UTF_8.newDecoder().decode(in, out, true);
        if (result.isError()) {
            return new Utf8(null, "invalid UTF-8 at byte " + in.position());
        }
        out.flip();
        if (out.length() > 0 && out.charAt(0) == BYTE_ORDER_MARK) {
            out.get();
        }
        return new Utf8(out.toString(), null);
    }
}
