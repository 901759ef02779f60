package dev.nosa.checkpoint;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/**
 * One safetensors file, mapped read-only in windows, since one {@link MappedByteBuffer} ends at 2 GiB. Windows are
 * counted from the end of the header and hold whole elements. Safe from any thread.
 *
 * <p>Java 17 has no public way to unmap: {@link #close} lets go of the windows, and the garbage collector unmaps them.
 */
final class SafetensorsFile implements AutoCloseable {
    /** The reference implementation's limit; real headers have a few hundred KiB. */
    private static final long MAX_HEADER_BYTES = 100_000_000;

    private final Path path;
    private final List<TensorEntry> entries;
    private final int windowBytes;
    private volatile MappedByteBuffer[] windows;

    private SafetensorsFile(Path path, List<TensorEntry> entries, int windowBytes, MappedByteBuffer[] windows) {
        this.path = path;
        this.entries = entries;
        this.windowBytes = windowBytes;
        this.windows = windows;
    }

    /** Checks the header of {@code path} and maps the rest; {@code windowBytes} is a multiple of every element size. */
    static SafetensorsFile open(Path path, int windowBytes) {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            long size = channel.size();
            long headerBytes = headerBytes(channel, path, size);
            long dataStart = Long.BYTES + headerBytes;
            ByteBuffer header = readFully(channel, Long.BYTES, Math.toIntExact(headerBytes));
            List<TensorEntry> entries = SafetensorsHeader.parse(header.array(), path.toString(), size - dataStart);
            return new SafetensorsFile(path, entries, windowBytes, map(channel, dataStart, size, windowBytes));
        } catch (NoSuchFileException e) {
            throw new CheckpointException(path + ": no such file", e);
        } catch (IOException e) {
            throw new CheckpointException(path + ": cannot be read: " + e, e);
        }
    }

    private static long headerBytes(FileChannel channel, Path path, long size) throws IOException {
        if (size < Long.BYTES) {
            throw new CheckpointException(
                    path + ": " + size + " bytes are too few for a safetensors file; it is truncated");
        }
        long headerBytes = readFully(channel, 0, Long.BYTES).getLong(0);
        if (headerBytes < 0 || headerBytes > MAX_HEADER_BYTES) {
            throw new CheckpointException(path + ": header length " + Long.toUnsignedString(headerBytes)
                    + " is over the limit of " + MAX_HEADER_BYTES + "; this is no safetensors file");
        }
        if (headerBytes > size - Long.BYTES) {
            throw new CheckpointException(path + ": header length " + headerBytes + " is more than the file's " + size
                    + " bytes; it is truncated or corrupt");
        }
        return headerBytes;
    }

    private static ByteBuffer readFully(FileChannel channel, long position, int count) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, position + buffer.position()) < 0) {
                throw new EOFException("file ends at byte " + (position + buffer.position()));
            }
        }
        return buffer;
    }

    private static MappedByteBuffer[] map(FileChannel channel, long dataStart, long size, int windowBytes)
            throws IOException {
        int count = Math.toIntExact((size - dataStart + windowBytes - 1) / windowBytes);
        MappedByteBuffer[] windows = new MappedByteBuffer[count];
        for (int i = 0; i < count; i++) {
            long start = dataStart + (long) i * windowBytes;
            windows[i] = channel.map(FileChannel.MapMode.READ_ONLY, start, Math.min(windowBytes, size - start));
        }
        return windows;
    }

    Path path() {
        return path;
    }

    List<TensorEntry> entries() {
        return entries;
    }

    /** Widens {@code count} elements of {@code dtype} from byte {@code position} of the data on. */
    void read(DType dtype, long position, float[] target, int targetOffset, int count) {
        MappedByteBuffer[] mapped = windows;
        if (mapped == null) {
            throw new IllegalStateException(path + " is closed");
        }
        int done = 0;
        while (done < count) {
            long at = position + (long) done * dtype.bytes();
            int offset = (int) (at % windowBytes);
            int piece = Math.min(count - done, (windowBytes - offset) / dtype.bytes());
            ByteBuffer source = mapped[(int) (at / windowBytes)].slice(offset, piece * dtype.bytes());
            dtype.widen(source.order(ByteOrder.LITTLE_ENDIAN), target, targetOffset + done, piece);
            done += piece;
        }
    }

    @Override
    public void close() {
        windows = null;
    }
}
