package dev.nosa.job;

import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A run's folder: its manifest, and a record of every committed wave. What a crash left is put right when it is opened. One job
 * has it at a time; {@link #commit} is safe from any thread.
 */
final class RunFolder implements AutoCloseable {
    /** Readers skip names that begin with an underscore. */
    static final String STATE = "_nosa";

    private static final Logger log = LoggerFactory.getLogger(RunFolder.class);

    private final OutputFolder output;
    private final FileSystem fs;
    private final Path state;
    private final JsonFiles json;
    private final WaveSink sink;
    private final RunLock lock;
    private final Map<Integer, WaveRecord> records = new TreeMap<>();
    private Manifest manifest;
    private boolean inputChanged;

    private RunFolder(OutputFolder output, WaveSink sink, RunLock lock, Configuration hadoop) {
        this.output = output;
        this.sink = sink;
        this.lock = lock;
        fs = output.fs();
        state = new Path(output.work(), STATE);
        json = new JsonFiles(fs, hadoop);
    }

    /**
     * Opens the folder, or makes it.
     *
     * @param settings everything that changes results
     * @throws UsageException if another job has it, or it is of a run with other settings or another input
     */
    static RunFolder open(
            OutputFolder output,
            WaveSink sink,
            WaveTotals totals,
            Map<String, String> settings,
            InputState input,
            WaveOptions options,
            SparkSession spark)
            throws IOException {
        RunLock lock = RunLock.take(output.fs(), new Path(new Path(output.work(), STATE), "lock"), options.breakLock);
        RunFolder folder =
                new RunFolder(output, sink, lock, spark.sparkContext().hadoopConfiguration());
        boolean opened = false;
        try {
            // Once for all waves: on object stores every question about a single one is a round trip.
            Set<Integer> begun = sink.begun(spark);
            folder.load(settings, input, options.incremental, begun, spark);
            folder.recover(begun, spark, totals);
            opened = true;
            return folder;
        } finally {
            if (!opened) {
                lock.close();
            }
        }
    }

    private void load(
            Map<String, String> settings, InputState input, boolean incremental, Set<Integer> begun, SparkSession spark)
            throws IOException {
        Path file = manifestFile();
        Manifest found = null;
        try {
            found = fs.exists(file) ? json.read(file, Manifest.class) : null;
            readRecords();
        } catch (UsageException damaged) {
            if (!output.overwrites()) {
                throw damaged;
            }
        }
        if (found == null) {
            requireNothingElse();
            beginAnew(settings, input);
            return;
        }
        List<String> differences = found.differences(settings);
        inputChanged = !found.input().equals(input);
        boolean mayGo = output.overwrites() || isEmpty(found, begun, spark);
        if (mayGo && (!differences.isEmpty() || inputChanged)) {
            beginAnew(settings, input);
            return;
        }
        if (!differences.isEmpty()) {
            throw new UsageException(
                    output.target() + " is a run with other options: " + String.join(", ", differences)
                            + "; take another path, the same options, or --output-mode overwrite",
                    "--output");
        }
        if (inputChanged && !incremental) {
            throw new UsageException(
                    "the input has changed since " + found.created() + ", when the run began: "
                            + found.input().files()
                            + " files of " + found.input().bytes() + " bytes then, " + input.files() + " of "
                            + input.bytes() + " now; --incremental takes rows with new ids, --output-mode overwrite"
                            + " starts anew",
                    "--input");
        }
        manifest = new Manifest(
                found.version(), found.run(), found.created(), found.ids(), settings, input, found.plans());
    }

    private void readRecords() throws IOException {
        if (!fs.exists(wavesFolder())) {
            return;
        }
        List<Path> files = Arrays.stream(
                        fs.listStatus(wavesFolder(), path -> path.getName().matches("\\d+\\.json")))
                .map(FileStatus::getPath)
                .toList();
        for (WaveRecord wave : json.readAll(files, WaveRecord.class)) {
            records.put(wave.wave(), wave);
        }
    }

    /** A folder of results whose manifest was deleted is nothing to be deleted too. */
    private void requireNothingElse() throws IOException {
        boolean results = !records.isEmpty();
        for (FileStatus child : fs.listStatus(output.work())) {
            results |= child.getPath().getName().startsWith(WaveSink.PREFIX);
        }
        if (results && !output.overwrites()) {
            throw new UsageException(
                    output.target() + " holds waves, but no " + STATE
                            + "/manifest.json that says of what run; put it back"
                            + " from a copy, take another path, or --output-mode overwrite",
                    "--output");
        }
    }

    /** Whether an earlier job has committed no wave. */
    private boolean isEmpty(Manifest found, Set<Integer> begun, SparkSession spark) throws IOException {
        for (Wave wave : found.waves()) {
            int number = wave.number();
            if (records.containsKey(number) || begun.contains(number) && sink.isThere(spark, number)) {
                return false;
            }
        }
        return true;
    }

    private void beginAnew(Map<String, String> settings, InputState input) throws IOException {
        if (output.overwrites()) {
            fs.delete(manifestFile(), false); // first: waves that are half deleted must not pass for committed ones
        }
        for (FileStatus child : fs.listStatus(output.work())) {
            if (!child.getPath().equals(state)) {
                fs.delete(child.getPath(), true);
            }
        }
        fs.delete(wavesFolder(), true);
        records.clear();
        inputChanged = false;
        manifest = new Manifest(
                Manifest.VERSION,
                UUID.randomUUID().toString(),
                Instant.now().toString(),
                null,
                settings,
                input,
                List.of());
    }

    private void recover(Set<Integer> begun, SparkSession spark, WaveTotals totals) throws IOException {
        for (Wave wave : manifest.waves()) {
            int number = wave.number();
            WaveRecord record = records.get(number);
            if (record != null && record.state().equals(WaveRecord.REPLACING)) {
                sink.replace(number);
                write(record.with(WaveRecord.COMMITTED));
            } else if (record != null && record.documents() > 0 && !begun.contains(number)) {
                log.warn("Wave {} is recorded but not there any more; its documents are computed again", number);
                records.remove(number);
                fs.delete(recordFile(number), false);
            } else if (record == null && begun.contains(number)) {
                if (sink.isThere(spark, number)) {
                    write(totals.read(number, sink.read(spark, number)));
                } else {
                    sink.discard(number);
                }
            }
        }
    }

    Manifest manifest() {
        return manifest;
    }

    /** Whether nothing is planned yet. */
    boolean isNew() {
        return manifest.plans().isEmpty();
    }

    /** Whether there are files now that were not there, or not the same, when rows were last planned. */
    boolean inputChanged() {
        return inputChanged;
    }

    DocumentIds.Kind ids() {
        return manifest.ids();
    }

    /** Number of the next wave to plan. */
    int nextWave() {
        List<WavePlan> plans = manifest.plans();
        return plans.isEmpty() ? 0 : plans.get(plans.size() - 1).next();
    }

    /** Adds waves to do, and keeps what they were made of. */
    void plan(WavePlan plan, DocumentIds.Kind ids) throws IOException {
        manifest = manifest.with(ids, plan);
        writeManifest();
    }

    /** From here on the input as it is now counts: all its rows are planned. */
    void keepInput() throws IOException {
        writeManifest();
    }

    private void writeManifest() throws IOException {
        json.write(manifestFile(), manifest);
    }

    /** Waves that are not committed, in order. */
    synchronized List<Wave> pending() {
        return manifest.waves().stream()
                .filter(wave -> !records.containsKey(wave.number()))
                .toList();
    }

    synchronized List<WaveRecord> committed() {
        return List.copyOf(records.values());
    }

    /** Committed waves of other plans than {@code plan}: their rows are not this plan's. */
    synchronized List<Integer> committedOfOtherPlans(int plan) {
        List<Integer> others = new ArrayList<>();
        for (Wave wave : manifest.waves()) {
            if (wave.plan() != plan && records.containsKey(wave.number())) {
                others.add(wave.number());
            }
        }
        return others;
    }

    /** Whether no other job has broken the lock, as far as can be told. */
    boolean isOurs() {
        try {
            lock.check();
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    /** Records a wave that the sink has. */
    void commit(WaveRecord record) throws IOException {
        lock.check();
        write(record);
    }

    /** Puts the sink's replacement of a wave in its place, so that a crash in between does no harm. */
    void commitReplacement(WaveRecord record) throws IOException {
        lock.check();
        write(record.with(WaveRecord.REPLACING));
        sink.replace(record.wave());
        write(record);
    }

    /** Marks the run as done, for what waits for it, and puts it in the place of what it replaces. */
    void complete() throws IOException {
        fs.create(new Path(output.work(), WaveSink.SUCCESS), true).close();
        lock.close();
        output.publish();
    }

    /** Gives the lock back; nothing is left of a run that has committed no wave. */
    @Override
    public void close() throws IOException {
        if (!fs.exists(state)) {
            return; // complete, and moved
        }
        if (committed().isEmpty()) {
            lock.check();
            fs.delete(output.work(), true);
        }
        lock.close();
    }

    private synchronized void write(WaveRecord record) throws IOException {
        fs.mkdirs(wavesFolder());
        json.write(recordFile(record.wave()), record);
        records.put(record.wave(), record);
    }

    private Path manifestFile() {
        return new Path(state, "manifest.json");
    }

    private Path wavesFolder() {
        return new Path(state, "waves");
    }

    private Path recordFile(int wave) {
        return new Path(wavesFolder(), String.format("%05d.json", wave));
    }
}
