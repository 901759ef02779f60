package dev.nosa.runner;

import dev.nosa.backend.Backend;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.KvTraffic;
import dev.nosa.model.LlamaModel;
import dev.nosa.sample.Sampler;
import dev.nosa.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Runs a model on a backend: gathers the sequences' tokens, computes, picks from the logits. */
final class BatchRunner implements ModelRunner {
    /** Rows of logits held at once: a continuation of 1,000 tokens would else need 1,000 vocabularies. */
    private static final int LOGIT_ROWS = 8;

    private final Backend backend;
    private final LlamaModel model;
    private final float[] logits;

    BatchRunner(Backend backend, LlamaModel model, int vocabSize) {
        this.backend = backend;
        this.model = model;
        logits = new float[vocabSize];
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
        Tensor hidden = model.forward(inputs);
        List<KvTraffic> traffic = backend.takeTraffic(inputs);
        List<Pending> pending = pick(batch, wanted(batch, inputs), hidden);
        List<SequenceOutput> outputs = new ArrayList<>(batch.size());
        for (int i = 0; i < batch.size(); i++) {
            Pending result = pending.get(i);
            outputs.add(new SequenceOutput(result.token, result.logProbs, traffic.get(i), result.error));
        }
        return outputs;
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

    private List<Pending> pick(List<SequenceInput> batch, List<Wanted> wanted, Tensor hidden) {
        List<Pending> pending = new ArrayList<>(batch.size());
        batch.forEach(input -> pending.add(new Pending()));
        for (int from = 0; from < wanted.size(); from += LOGIT_ROWS) {
            List<Wanted> part = wanted.subList(from, Math.min(from + LOGIT_ROWS, wanted.size()));
            int[] rows = part.stream().mapToInt(Wanted::tensorRow).toArray();
            Tensor computed = model.logits(hidden, rows);
            for (int i = 0; i < part.size(); i++) {
                backend.read(computed, i, logits);
                Wanted want = part.get(i);
                pick(batch.get(want.sequence()), want.tokenRow(), pending.get(want.sequence()));
            }
        }
        return pending;
    }

    private void pick(SequenceInput input, int tokenRow, Pending result) {
        try {
            if (input.request() instanceof TokenRequest.Sample sample) {
                long position = (long) input.start() + input.tokens().length;
                result.token =
                        Sampler.sample(logits, sample.params(), sample.history(), sample.historyLength(), position);
            } else if (input.request() instanceof TokenRequest.Score score) {
                score(score, tokenRow, result);
            }
        } catch (ArithmeticException e) { // this sequence's logits are not finite; its batch mates go on
            result.error = e.getMessage();
        }
    }

    private void score(TokenRequest.Score score, int tokenRow, Pending result) {
        if (result.logProbs.length == 0) {
            result.logProbs = new float[score.rows().length];
        }
        double denominator = Sampler.logSumExp(logits);
        for (int i = 0; i < score.rows().length; i++) {
            if (score.rows()[i] == tokenRow) {
                result.logProbs[i] = (float) (logits[score.tokens()[i]] - denominator);
            }
        }
    }

    @Override
    public void close() {
        backend.close();
    }
}
