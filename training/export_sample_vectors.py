"""Writes what nosa.py computes with the sample model: export_sample_vectors.py MODEL DOCUMENTS OUT.safetensors.gz.

For each sample document: its prompt, the greedy answer, the logits and the selected blocks of every step of it, and by how
much each selection was decided. Computed in F32; with --compare in F64 too, which shows what rounding costs.
"""

import argparse
import gzip
import hashlib
import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import torch
from safetensors.torch import save
from tokenizers import Tokenizer
from torch.nn import functional as F

import fast
import nosa
from data import render
from export_vectors import listed

STEPS = 48  # tokens of an answer, at most
TOP = 32  # logits kept of a step


class Answer:
    """The greedy answer to one prompt, (1, S): its tokens up to an end token, and what every one of them came from."""

    def __init__(self, model, prompt):
        self.sparse = model.config.sparse
        self.width = max(self.sparse.topk, (prompt.shape[1] + STEPS) // self.sparse.block_size + 1)
        self.tokens, self.logits, self.selected, self.margins = [], [], [], []
        decoder = nosa.Decoder(model, prompt, STEPS, attention)
        for record, cache in zip(decoder.trace, decoder.caches):
            self._decided(cache, record["q"][:, :, -1:], record["selected"][:, :, -1])
            self._watch(cache)
        decoder.trace.clear()
        while True:
            self.logits.append(decoder.logits[0])
            self.tokens.append(decoder.logits.argmax(-1))
            if self.tokens[-1].item() in model.config.eos_token_id or len(self.tokens) == STEPS:
                break
            decoder.step(self.tokens[-1])
        self.layers = len(decoder.caches)

    def _watch(self, cache):
        decode = cache.decode

        def watched(q):
            out, selected, misses = decode(q)
            self._decided(cache, q, selected)
            return out, selected, misses

        cache.decode = watched

    def _decided(self, cache, q, selected):
        taken, margins = decide(q, cache.ck, cache.cc, cache.length - 1, cache.sparse)
        if not torch.equal(taken, selected):
            raise ValueError("the margins are not those of the selection")
        self.selected.append(listed(selected[0], self.width))
        self.margins.append(margins[0])

    def tensors(self):
        logits = torch.stack(self.logits)
        selected = torch.stack(self.selected).unflatten(0, (-1, self.layers))
        top = logits.topk(min(TOP, logits.shape[-1]))
        return {
            "answer": torch.cat(self.tokens).to(torch.int32),
            "top.tokens": top.indices.to(torch.int32),
            "top.logits": top.values.float(),
            "last.logits": logits[-1].float(),
            "selected": selected[..., : int((selected >= 0).sum(-1).max())].contiguous(),
            "margins": torch.stack(self.margins).unflatten(0, (-1, self.layers)).float(),
        }


def attention(q, k, v, cis, sparse, record=None):
    """nosa.attention in a third of the time: each chunk of queries sees only what came before, in a fused kernel."""
    length = k.shape[2]
    count = math.ceil(length / sparse.block_size)
    ck, cc = nosa.compress(k, cis, sparse)
    tables = []
    for start in range(0, length, nosa.QUERY_CHUNK):
        end = min(start + nosa.QUERY_CHUNK, length)
        blocks, windows = math.ceil(end / sparse.block_size), max(0, (end - sparse.kernel_size) // sparse.kernel_stride + 1)
        positions = torch.arange(start, end)
        seen = ck[:, :, :windows], None if cc is None else cc[:, :, :windows]
        table = nosa.select(q[:, :, start:end], *seen, positions, blocks, sparse)
        tables.append(F.pad(table, (0, count - blocks)))
    table = torch.cat(tables, 2)
    if record is not None:
        record["selected"] = table
    return fast.masked_attention(q, k, v, cis, table, sparse.block_size)


def decide(q, ck, cc, position, sparse):
    """The selection (B, G, N) of one query, and its margins at the query-aware and the importance cut (B, G, 2)."""
    count = position // sparse.block_size + 1
    blocks, positions = torch.arange(count), torch.tensor([position])
    causal = (blocks < count).expand(q.shape[0], ck.shape[1], 1, -1)
    taken = causal & ((blocks < sparse.init_blocks) | (blocks >= count - 1 - sparse.local_blocks))
    visible = nosa.visible_windows(positions, ck.shape[2], sparse)
    margins = torch.full((2, *taken.shape[:2]), math.inf, dtype=q.dtype)
    if sparse.mode == "full" or count <= sparse.topk or position < sparse.dense_len:
        return causal[:, :, 0], margins.movedim(0, -1)
    if sparse.mode != "dma":
        scores = nosa.block_scores(nosa.window_scores(q, ck, visible), count, sparse, 0.0)
        cut = sparse.first_cut if sparse.mode == "nosa" else sparse.topk
        before, taken = taken, nosa.take(scores, taken, causal, cut)
        margins[0] = margin(scores, before, taken)
    if sparse.has_importance:
        scores = nosa.block_scores(cc[:, :, None].masked_fill(~visible, -math.inf), count, sparse, -math.inf)
        before, taken = taken, nosa.take(scores, taken, causal, sparse.topk)
        margins[1] = margin(scores, before, taken)
    return taken[:, :, 0], margins.movedim(0, -1)


def margin(scores, before, taken):
    """Relative gap between the last block taken and the first one left, or infinite where one of them is missing.

    Where the two are equal, because both have their score from the window that they share, the lower block is taken
    whatever rounding does. The margin then is the gap to the nearest other score.
    """
    new = taken & ~before
    last = scores.masked_fill(~new, math.inf).amin(-1, keepdim=True)
    first = scores.masked_fill(taken, -math.inf).amax(-1, keepdim=True)
    above = scores.masked_fill(~new | (scores <= last), math.inf).amin(-1, keepdim=True)
    below = scores.masked_fill(taken | (scores >= first), -math.inf).amax(-1, keepdim=True)
    margins = torch.where(last == first, torch.minimum(gap(above, last), gap(first, below)), gap(last, first))
    return margins[:, :, 0, 0]


def gap(high, low):
    return torch.where(high.isinf() | low.isinf(), math.inf, (high - low) / torch.maximum(high.abs(), low.abs()))


def compare(name, single, exact):
    """What F64 changes, as text."""
    if not torch.equal(exact["answer"], single["answer"]):
        return f"{name} in F64: other tokens, {exact['answer'].tolist()}"
    differ = (exact["selected"] != single["selected"]).any(-1)
    closest = exact["margins"].amin(-1)[differ].tolist()
    last = (exact["last.logits"] - single["last.logits"]).abs().max().item()
    return f"{name} in F64: same tokens, logits to {last:.1e}, {len(closest)} other selections, with margins {closest}"


def summary(answers):
    """How close the decisions are, as text."""
    margins = torch.cat([answer["margins"].flatten(0, 2) for answer in answers]).amin(-1)
    close = ", ".join(f"{int((margins < limit).sum())} by less than {limit}" for limit in (1e-3, 1e-4, 1e-5, 1e-6))
    return f"{len(margins):,} selections: {close}"


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description="Writes what nosa.py computes with the sample model.")
    parser.add_argument("model", type=Path)
    parser.add_argument("documents", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--compare", action="store_true", help="compute in F64 too, and print the differences")
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    model = nosa.Model.load(options.model)
    rows = pq.read_table(options.documents, columns=["id", "text", "question"]).to_pylist()
    tensors, answers = {}, []
    for row in rows:
        prompt = torch.tensor([tokenizer.encode(render(row["text"], row["question"]), add_special_tokens=False).ids])
        answer = Answer(model, prompt).tensors()
        answers.append(answer)
        tensors |= {f"{row['id']}.{key}": tensor for key, tensor in answer.items()}
        tensors[f"{row['id']}.tokens"] = prompt[0].to(torch.int32)
        text = tokenizer.decode(answer["answer"].tolist())
        print(f"{row['id']}: {prompt.shape[1]:,} tokens, {len(answer['answer'])} steps, {text}", flush=True)
        if options.compare:
            exact = Answer(nosa.Model.load(options.model, torch.float64), prompt).tensors()
            print(compare(row["id"], answer, exact), flush=True)
    print(summary(answers))
    weights = hashlib.sha256((options.model / "model.safetensors").read_bytes()).hexdigest()
    sample = json.dumps({"documents": [row["id"] for row in rows], "weights": weights})
    packed = gzip.compress(save(tensors, {"sample": sample}), 9, mtime=0)
    options.out.write_bytes(packed)
    print(f"{len(packed):,} bytes")


if __name__ == "__main__":
    main()
