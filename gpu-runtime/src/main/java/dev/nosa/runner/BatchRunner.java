package dev.nosa.runner;

import dev.nosa.backend.Backend;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.DeviceInfo;
import dev.nosa.backend.KvTraffic;
import dev.nosa.backend.TokenChoice;
import dev.nosa.model.LlamaModel;
import dev.nosa.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** Runs a model on a backend: gathers the sequences' tokens, computes, picks from the logits. */
final class BatchRunner implements ModelRunner {
    private final Backend backend;
    private final LlamaModel model;

    BatchRunner(Backend backend, LlamaModel model) {
        this.backend = backend;
        this.model = model;
    }

    /** One row of logits that somebody waits for. */
    private record Wanted(int sequence, int tensorRow, int tokenRow) {}

    /** What a sequence gets, filled in row by row. */
    private static final class Pending {
        private int token = SequenceOutput.NO_TOKEN;
        private float[] logProbs = new float[0];
        private String error;
    }

    @Override
    public void bindThread() {
        backend.bindThread();
    }

    @Override
    public void open(int row, int maxTokens) {
        backend.kv().open(row, maxTokens);
    }

    @Override
    public void fork(int parent, int child, int length, int maxTokens) {
        backend.kv().fork(parent, child, length, maxTokens);
    }

    @Override
    public void release(int row) {
        backend.kv().release(row);
    }

    @Override
    public List<SequenceOutput> run(List<SequenceInput> batch) {
        BatchInputs inputs = gather(batch);
        List<Wanted> wanted = wanted(batch, inputs);
        List<Pending> pending = new ArrayList<>(batch.size());
        batch.forEach(input -> pending.add(new Pending()));
        if (inputs.isDecode()) {
            pick(batch, wanted, backend.run(inputs, this::decode), pending);
        } else {
            Tensor hidden = backend.run(inputs, model::forward);
            for (int from = 0; from < wanted.size(); from += backend.maxLogitRows()) {
                List<Wanted> part = wanted.subList(from, Math.min(from + backend.maxLogitRows(), wanted.size()));
                int[] rows = part.stream().mapToInt(Wanted::tensorRow).toArray();
                pick(batch, part, model.logits(hidden, rows), pending);
            }
        }
        List<KvTraffic> traffic = backend.takeTraffic(inputs);
        List<SequenceOutput> outputs = new ArrayList<>(batch.size());
        for (int i = 0; i < batch.size(); i++) {
            Pending result = pending.get(i);
            outputs.add(new SequenceOutput(result.token, result.logProbs, traffic.get(i), result.error));
        }
        return outputs;
    }

    @Override
    public DeviceInfo device() {
        return backend.device();
    }

    @Override
    public long[] missedByLayer() {
        return backend.missedByLayer();
    }

    /** Logits of all rows. */
    private Tensor decode(BatchInputs batch) {
        int[] rows = IntStream.range(0, batch.tokens().length).toArray();
        return model.logits(model.forward(batch), rows);
    }

    private static BatchInputs gather(List<SequenceInput> batch) {
        int total = batch.stream().mapToInt(input -> input.tokens().length).sum();
        int[] tokens = new int[total];
        List<BatchInputs.Slice> slices = new ArrayList<>(batch.size());
        int at = 0;
        boolean decodes = false;
        for (SequenceInput input : batch) {
            if (decodes && !input.decode()) {
                throw new IllegalArgumentException("prefill of row " + input.row() + " stands behind a decode");
            }
            decodes = input.decode();
            int count = input.tokens().length;
            System.arraycopy(input.tokens(), 0, tokens, at, count);
            slices.add(new BatchInputs.Slice(at, count, input.start(), input.row(), input.blocks(), input.decode()));
            at += count;
        }
        return new BatchInputs(tokens, slices);
    }

    private static List<Wanted> wanted(List<SequenceInput> batch, BatchInputs inputs) {
        List<Wanted> wanted = new ArrayList<>();
        for (int s = 0; s < batch.size(); s++) {
            BatchInputs.Slice slice = inputs.slices().get(s);
            TokenRequest request = batch.get(s).request();
            if (request instanceof TokenRequest.Sample) {
                wanted.add(new Wanted(s, slice.firstRow() + slice.count() - 1, slice.count() - 1));
            } else if (request instanceof TokenRequest.Score score) {
                int last = -1;
                for (int row : score.rows()) {
                    if (row != last) {
                        wanted.add(new Wanted(s, slice.firstRow() + row, row));
                    }
                    last = row;
                }
            }
        }
        return wanted;
    }

    /** Row i of {@code logits} is what {@code wanted.get(i)} waits for. */
    private void pick(List<SequenceInput> batch, List<Wanted> wanted, Tensor logits, List<Pending> pending) {
        List<TokenChoice> choices = new ArrayList<>();
        List<Pending> sampled = new ArrayList<>();
        for (int i = 0; i < wanted.size(); i++) {
            Wanted want = wanted.get(i);
            SequenceInput input = batch.get(want.sequence());
            Pending result = pending.get(want.sequence());
            if (input.request() instanceof TokenRequest.Sample sample) {
                long position = (long) input.start() + input.tokens().length;
                choices.add(new TokenChoice(i, sample.params(), sample.history(), sample.historyLength(), position));
                sampled.add(result);
            } else if (input.request() instanceof TokenRequest.Score score) {
                score(score, want.tokenRow(), logits, i, result);
            }
        }
        int[] tokens = backend.sample(logits, choices);
        for (int i = 0; i < tokens.length; i++) {
            if (tokens[i] < 0) { // this sequence's logits are not finite; its batch mates go on
                sampled.get(i).error = notFinite("the logit of token " + (-1 - tokens[i]) + " of " + logits.cols());
            } else {
                sampled.get(i).token = tokens[i];
            }
        }
    }

    private void score(TokenRequest.Score score, int tokenRow, Tensor logits, int row, Pending result) {
        if (result.logProbs.length == 0) {
            result.logProbs = new float[score.rows().length];
        }
        int[] at = IntStream.range(0, score.rows().length)
                .filter(i -> score.rows()[i] == tokenRow)
                .toArray();
        int[] rows = new int[at.length];
        Arrays.fill(rows, row);
        float[] values = backend.logProbs(
                logits, rows, Arrays.stream(at).map(i -> score.tokens()[i]).toArray());
        for (int i = 0; i < at.length; i++) {
            result.logProbs[at[i]] = values[i];
            if (Float.isNaN(values[i])) {
                result.error = notFinite("a logit");
            }
        }
    }

    private static String notFinite(String what) {
        return what + " is not finite: the model's weights or activations are not";
    }

    @Override
    public void close() {
        backend.close();
    }
}
