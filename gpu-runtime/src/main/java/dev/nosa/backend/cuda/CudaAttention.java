package dev.nosa.backend.cuda;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.BatchInputs.Slice;
import dev.nosa.backend.ImportanceWeights;
import dev.nosa.backend.KvTraffic;
import java.util.ArrayList;
import java.util.List;

/**
 * One layer's attention for a mixed batch: prompts whose pages are all on the device go through {@link PrefillAttention}, tokens of
 * other sequences through their slots. Engine thread.
 */
final class CudaAttention implements AutoCloseable {
    private final AttentionShape shape;
    private final CudaKvStore store;
    private final Workspace workspace;
    private final StepTables tables;
    private final AttentionArgs args;
    private final PrefillAttention prefill;
    private final DecodeAttention decode;

    CudaAttention(
            CudaContext context,
            CudaStream stream,
            KernelLibrary library,
            AttentionShape shape,
            CudaKvStore store,
            Workspace workspace,
            StepTables tables,
            int maxLanes,
            int maxContext) {
        this.shape = shape;
        this.store = store;
        this.workspace = workspace;
        this.tables = tables;
        args = new AttentionArgs(context, shape, store.kernelStruct());
        prefill = new PrefillAttention(shape, store, workspace, stream, library, args);
        decode = new DecodeAttention(context, stream, library, shape, store, workspace, args, maxLanes, maxContext);
    }

    void run(int layer, CudaTensor qkv, ImportanceWeights importance, BatchInputs batch, CudaTensor out) {
        ImportanceAddresses weights = ImportanceAddresses.of(importance);
        long mark = workspace.mark();
        CudaTensor queries = workspace.tensor(qkv.rows(), shape.heads() * shape.headDim(), false);
        if (layer == 0) {
            decode.beginStep();
        }
        for (Slice slice : batch.slices()) {
            int row = slice.firstRow();
            if (isPrompt(slice)) {
                prefill.run(layer, slice, weights, qkv.row(row), queries.row(row), out.row(row));
            } else if (!slice.decode()) { // a fork's tokens, one behind the other
                for (int i = row; i < row + slice.count(); i++) {
                    // At once, since the layer may give a finished block's slot away before the last layer has it.
                    decode.writeBack(layer, 1, decode(layer, i, 1, weights, qkv, queries, out));
                    decode.beginAgain(layer);
                }
            }
        }
        int decodes = decodes(batch);
        if (decodes > 0) {
            DecodeAttention.Lanes lanes = decode(layer, qkv.rows() - decodes, decodes, weights, qkv, queries, out);
            if (layer == store.layout().layers() - 1) {
                decode.writeBack(0, store.layout().layers(), lanes);
            }
        }
        workspace.back(mark);
    }

    private DecodeAttention.Lanes decode(
            int layer,
            int first,
            int count,
            ImportanceAddresses weights,
            CudaTensor qkv,
            CudaTensor queries,
            CudaTensor out) {
        DecodeAttention.Lanes lanes =
                new DecodeAttention.Lanes(count, tables.rows(first), tables.positions(first), tables.counters(first));
        decode.run(layer, lanes, weights, qkv.row(first), queries.row(first), out.row(first));
        return lanes;
    }

    private boolean isPrompt(Slice slice) {
        return !slice.decode() && store.isPrefilling(slice.row());
    }

    private static int decodes(BatchInputs batch) {
        return (int) batch.slices().stream().filter(Slice::decode).count();
    }

    /** For measurements: see {@link DecodeAttention#replaceSelection}. */
    void replaceSelection(int blocks) {
        decode.replaceSelection(blocks);
    }

    /** What each slice of the last batch moved, when all work is done. */
    List<KvTraffic> traffic(BatchInputs batch) {
        long[] counters = tables.readCounters();
        long blockBytes = store.layout().hostBlockBytes();
        long headBytes = blockBytes / store.layout().layers() / store.layout().kvHeads();
        int blockSize = store.layout().sparse().blockSize();
        List<KvTraffic> all = new ArrayList<>(batch.slices().size());
        for (Slice slice : batch.slices()) {
            long selected = 0;
            long missed = 0;
            for (int i = slice.firstRow(); i < slice.firstRow() + slice.count(); i++) {
                selected += counters[2 * i];
                missed += counters[2 * i + 1];
            }
            long finished = (slice.start() + slice.count()) / blockSize - slice.start() / blockSize;
            all.add(new KvTraffic(selected, missed, missed * headBytes, store.offloads() ? finished * blockBytes : 0));
        }
        return all;
    }

    @Override
    public void close() {
        decode.close();
        args.close();
    }
}
