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
    private final long[] missedByLayer;
    /** The decoding tokens of each part of the step. */
    private final DecodeAttention.Lanes[] decoding = new DecodeAttention.Lanes[DecodeAttention.PARTS];

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
        missedByLayer = new long[store.layout().layers()];
        args = new AttentionArgs(context, shape, store.kernelStruct());
        prefill = new PrefillAttention(shape, store, workspace, stream, library, args);
        decode = new DecodeAttention(context, stream, library, shape, store, workspace, args, maxLanes, maxContext);
    }

    /** Queued once before the layers of a step. */
    void beginStep() {
        decode.beginStep();
    }

    /** Queued once behind the layers of a step. */
    void endStep() {
        decode.endStep();
    }

    /** Prompts wholly; of decodes the selection, and the transfer begins. */
    void begin(int layer, CudaTensor qkv, ImportanceWeights importance, BatchInputs batch, CudaTensor out) {
        ImportanceAddresses weights = ImportanceAddresses.of(importance);
        int decodes = decodes(batch);
        if (layer == 0) {
            decoding[part(batch)] = lanes(batch, qkv.rows() - decodes, decodes);
        }
        long mark = workspace.mark();
        for (Slice slice : batch.slices()) {
            if (isPrompt(slice)) {
                int row = slice.firstRow();
                CudaTensor queries = workspace.tensor(slice.count(), shape.heads() * shape.headDim(), false);
                prefill.run(layer, slice, weights, qkv.row(row), queries.address(), out.row(row));
                workspace.back(mark);
            } else if (!slice.decode()) {
                continueFork(layer, qkv, weights, batch, slice, out);
            }
        }
        if (decodes > 0) {
            decode.select(layer, decoding[part(batch)], weights, qkv.row(qkv.rows() - decodes));
        }
    }

    /** Tokens of a fork that did not begin on its parent's pages, one behind the other. */
    private void continueFork(
            int layer, CudaTensor qkv, ImportanceAddresses weights, BatchInputs batch, Slice slice, CudaTensor out) {
        long mark = workspace.mark();
        for (int i = slice.firstRow(); i < slice.firstRow() + slice.count(); i++) {
            DecodeAttention.Lanes token = lanes(batch, i, 1);
            decode.select(layer, token, weights, qkv.row(i));
            decode.attend(layer, token, out.row(i));
            // At once, since the layer may give a finished block's slot away before the last layer has it.
            decode.writeBack(layer, 1, token);
            decode.beginAgain(layer);
            workspace.back(mark);
        }
    }

    /** The attention of decodes. */
    void finish(int layer, BatchInputs batch, CudaTensor out) {
        DecodeAttention.Lanes lanes = decoding[part(batch)];
        if (lanes.count() > 0) {
            decode.attend(layer, lanes, out.row(out.rows() - lanes.count()));
            if (layer == store.layout().layers() - 1) {
                decode.writeBack(0, store.layout().layers(), lanes);
            }
        }
    }

    private static int part(BatchInputs batch) {
        return batch.firstRow() == 0 ? 0 : 1;
    }

    private DecodeAttention.Lanes lanes(BatchInputs batch, int row, int count) {
        int token = batch.firstRow() + row;
        return decode.lanes(part(batch), count, tables.rows(token), tables.positions(token), tables.counters(token));
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

    /** For measurements: see {@link DecodeAttention#gatherRate}. */
    double gatherRate(CudaContext context, int rows, int blocks) {
        return decode.gatherRate(context, rows, blocks);
    }

    /** Blocks that decodes have fetched in each layer. */
    long[] missedByLayer() {
        return missedByLayer.clone();
    }

    /** What each slice of the last batch moved, when all work is done. */
    List<KvTraffic> traffic(BatchInputs batch) {
        long[] counters = tables.readCounters();
        decode.addMisses(missedByLayer);
        long blockBytes = store.layout().hostBlockBytes();
        long headBytes = store.layout().headBlockBytes();
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
