package dev.nosa.testkit;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Writes a byte-level BPE {@code tokenizer.json} that encodes any text: two special tokens, one token per byte, and a
 * few merges, some of which hold a piece of a character.
 */
public final class TinyTokenizer {
    /** Id of {@code <s>}, which the post-processor puts first. */
    public static final int BOS = 0;

    /** Id of {@code </s>}. */
    public static final int EOS = 1;

    /** Id of byte 0; the other bytes follow. */
    public static final int FIRST_BYTE = 2;

    /** Id of the token AD E4: the end of one character and the begin of another. */
    public static final int STRADDLING = FIRST_BYTE + 256 + 11;

    /** Merged bytes, left and right. The later ones cut UTF-8: E4 B8 begins a character, AD E4 straddles two. */
    private static final List<byte[][]> MERGES = List.of(
            merge(" ", "t"),
            merge("h", "e"),
            merge(" t", "he"),
            merge("i", "n"),
            merge(" ", "a"),
            merge("e", "r"),
            merge("o", "n"),
            merge("r", "e"),
            merge("n", "d"),
            merge(" a", "nd"),
            merge(bytes(0xE4), bytes(0xB8)),
            merge(bytes(0xAD), bytes(0xE4)),
            merge(bytes(0xF0), bytes(0x9F)),
            merge(bytes(0xF0, 0x9F), bytes(0x98)));

    /** Number of ids. */
    public static final int VOCAB = FIRST_BYTE + 256 + MERGES.size();

    private static final ObjectMapper JSON = new ObjectMapper();

    private TinyTokenizer() {}

    /** Writes {@code tokenizer.json} into {@code dir}. */
    public static void write(Path dir) throws IOException {
        Files.writeString(dir.resolve("tokenizer.json"), json().toPrettyString());
    }

    /** The content of {@code tokenizer.json}. */
    public static ObjectNode json() {
        ObjectNode root = JSON.createObjectNode().put("version", "1.0");
        root.putNull("truncation").putNull("padding");
        ArrayNode added = root.putArray("added_tokens");
        added.add(special(BOS, "<s>")).add(special(EOS, "</s>"));
        root.putNull("normalizer");
        root.putObject("pre_tokenizer")
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", true);
        root.set("post_processor", beginWithBos());
        root.putObject("decoder")
                .put("type", "ByteLevel")
                .put("add_prefix_space", true)
                .put("trim_offsets", true)
                .put("use_regex", true);
        root.set("model", bpe());
        return root;
    }

    private static ObjectNode bpe() {
        ObjectNode model = JSON.createObjectNode().put("type", "BPE");
        model.putNull("dropout").putNull("unk_token");
        model.putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
        model.put("fuse_unk", false).put("byte_fallback", false).put("ignore_merges", false);
        ObjectNode vocab = model.putObject("vocab");
        vocab.put("<s>", BOS).put("</s>", EOS);
        for (int b = 0; b < 256; b++) {
            vocab.put(visible(bytes(b)), FIRST_BYTE + b);
        }
        ArrayNode merges = model.putArray("merges");
        for (byte[][] merge : MERGES) {
            String left = visible(merge[0]);
            String right = visible(merge[1]);
            vocab.put(left + right, FIRST_BYTE + 256 + merges.size());
            merges.addArray().add(left).add(right);
        }
        return model;
    }

    private static ObjectNode special(int id, String content) {
        return JSON.createObjectNode()
                .put("id", id)
                .put("content", content)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false)
                .put("special", true);
    }

    private static ObjectNode beginWithBos() {
        ObjectNode template = JSON.createObjectNode().put("type", "TemplateProcessing");
        ArrayNode single = template.putArray("single");
        single.addObject().putObject("SpecialToken").put("id", "<s>").put("type_id", 0);
        single.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
        ArrayNode pair = template.putArray("pair");
        pair.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
        pair.addObject().putObject("Sequence").put("id", "B").put("type_id", 1);
        ObjectNode bos = template.putObject("special_tokens").putObject("<s>");
        bos.put("id", "<s>").putArray("ids").add(BOS);
        bos.putArray("tokens").add("<s>");
        return template;
    }

    /** GPT-2's spelling of bytes: printable Latin-1 stands for itself, the other bytes follow from U+0100. */
    private static String visible(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte signed : bytes) {
            int b = signed & 0xFF;
            text.append((char) (isPrintable(b) ? b : 256 + unprintableBelow(b)));
        }
        return text.toString();
    }

    private static int unprintableBelow(int b) {
        int count = 0;
        for (int i = 0; i < b; i++) {
            count += isPrintable(i) ? 0 : 1;
        }
        return count;
    }

    private static boolean isPrintable(int b) {
        return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    }

    private static byte[][] merge(String left, String right) {
        return merge(left.getBytes(StandardCharsets.US_ASCII), right.getBytes(StandardCharsets.US_ASCII));
    }

    private static byte[][] merge(byte[] left, byte[] right) {
        return new byte[][] {left, right};
    }

    private static byte[] bytes(int... values) {
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < values.length; i++) {
            bytes[i] = (byte) values[i];
        }
        return bytes;
    }
}
