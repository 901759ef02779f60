package dev.nosa.checkpoint;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The tensors of one or more safetensors files. Safe from any thread. */
final class SafetensorsCheckpoint implements Checkpoint {
    private static final int SIMILAR_NAMES = 5;

    private final Path dir;
    private final List<SafetensorsFile> files;
    private final Map<String, CheckpointTensor> tensors;

    private SafetensorsCheckpoint(Path dir, List<SafetensorsFile> files, Map<String, CheckpointTensor> tensors) {
        this.dir = dir;
        this.files = files;
        this.tensors = tensors;
    }

    /** Opens all of {@code paths}, or none. */
    static SafetensorsCheckpoint open(Path dir, List<Path> paths, int windowBytes) {
        List<SafetensorsFile> files = new ArrayList<>();
        Map<String, CheckpointTensor> tensors = new LinkedHashMap<>();
        for (Path path : paths) {
            SafetensorsFile file = SafetensorsFile.open(path, windowBytes);
            files.add(file);
            for (TensorEntry entry : file.entries()) {
                CheckpointTensor other = tensors.put(entry.name(), new SafetensorsTensor(file, entry));
                if (other != null) {
                    throw new CheckpointException(path + ": tensor " + entry.name() + " is also in " + other.file());
                }
            }
        }
        return new SafetensorsCheckpoint(dir, files, tensors);
    }

    boolean isIn(String name, Path file) {
        return has(name) && tensors.get(name).file().equals(file.toString());
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(tensors.keySet());
    }

    @Override
    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    @Override
    public CheckpointTensor tensor(String name, long... shape) {
        CheckpointTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new CheckpointException(dir + ": no tensor " + name + "; the most similar names there: "
                    + String.join(", ", SimilarNames.of(name, tensors.keySet(), SIMILAR_NAMES)));
        }
        if (!Arrays.equals(tensor.shape(), shape)) {
            throw new CheckpointException(
                    tensor.file() + ": tensor " + name + ": expected shape " + Arrays.toString(shape) + ", found "
                            + Arrays.toString(tensor.shape()) + "; does config.json belong to this checkpoint?");
        }
        return tensor;
    }

    @Override
    public void close() {
        files.forEach(SafetensorsFile::close);
    }
}
