package dev.nosa.job;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * Local files by {@code slow:} paths: every call is counted, and takes as long as a round trip to a store, {@link #DELAY} ms.
 */
public final class SlowFileSystem extends RawLocalFileSystem {
    static final String SCHEME = "slow";

    /** Property of the Hadoop configuration. */
    static final String DELAY = "fs.slow.ms";

    static final AtomicInteger CALLS = new AtomicInteger();

    private static final ThreadLocal<Boolean> INSIDE = ThreadLocal.withInitial(() -> false);

    @Override
    public URI getUri() {
        return URI.create(SCHEME + ":///");
    }

    @Override
    public String getScheme() {
        return SCHEME;
    }

    private interface Call<T> {
        T run() throws IOException;
    }

    /** One round trip, whatever local files need for it. */
    private <T> T once(Call<T> call) throws IOException {
        if (INSIDE.get()) {
            return call.run();
        }
        INSIDE.set(true);
        try {
            CALLS.incrementAndGet();
            Thread.sleep(getConf().getInt(DELAY, 0));
            return call.run();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException();
        } finally {
            INSIDE.set(false);
        }
    }

    @Override
    public FSDataInputStream open(Path file, int bufferSize) throws IOException {
        return once(() -> super.open(file, bufferSize));
    }

    @Override
    @SuppressWarnings("checkstyle:ParameterNumber") // Hadoop's
    public FSDataOutputStream create(
            Path file,
            FsPermission permission,
            boolean overwrite,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress)
            throws IOException {
        return once(() -> super.create(file, permission, overwrite, bufferSize, replication, blockSize, progress));
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        return once(() -> super.rename(from, to));
    }

    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        return once(() -> super.delete(path, recursive));
    }

    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
        return once(() -> super.listStatus(path));
    }

    @Override
    public FileStatus getFileStatus(Path path) throws IOException {
        return once(() -> super.getFileStatus(path));
    }
}
