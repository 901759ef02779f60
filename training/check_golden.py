"""Compares nosa.py with recorded runs of the public implementation: check_golden.py FOLDER. Exits 1 outside the bounds.

The runs were computed in BF16 and this reference computes in F32, so scores that are equal there may differ here:
selections are compared as shares, values by relative error.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from nosa import INFINITY, Config, Decoder, Model, SparseConfig, take

RUNS = ("hf_700", "hf_6213")
SHARED_BLOCKS, UNTIED_ROWS, ATTENTION_ERROR, LOGITS_ERROR = 0.99, 0.9, 0.05, 0.06
NAMES = {
    "wq": "self_attn.q_proj.weight", "wk": "self_attn.k_proj.weight", "wv": "self_attn.v_proj.weight",
    "wo": "self_attn.o_proj.weight", "gate": "mlp.gate_proj.weight", "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight", "delta": "self_attn.delta.weight", "A": "self_attn.A",
    "ln1": "input_layernorm.weight", "ln2": "post_attention_layernorm.weight",
}  # fmt: skip
TOP = {"embed": "model.embed_tokens.weight", "lm_head": "lm_head.weight", "norm": "model.norm.weight"}


def checkpoint_name(name):
    if name in TOP:
        return TOP[name]
    layer, part = name.split(".")
    return f"model.layers.{layer[1:]}.{NAMES[part]}"


def golden_model(folder):
    tensors = load_file(str(folder / "weights.safetensors"))
    weights = {checkpoint_name(name): tensor.float() for name, tensor in tensors.items()}
    config = Config(
        hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=32, num_key_value_heads=2,
        head_dim=128, vocab_size=512, tie_word_embeddings=False, sparse=SparseConfig(),
    )  # fmt: skip
    return Model(config, weights)


def relative(got, expected):
    return ((got.float() - expected.float()).norm() / expected.float().norm()).item()


def shared(selected, listed):
    """Rows of a bool table that equal the listed blocks, rows in all, and the share of common blocks."""
    rows = [
        (set(row.nonzero()[:, 0].tolist()), set(blocks[blocks >= 0].tolist())) for row, blocks in zip(selected, listed)
    ]
    common = sum(len(a & b) for a, b in rows) / sum(len(b) for _, b in rows)
    return sum(a == b for a, b in rows), len(rows), common


def compare(model, run):
    """Yields name, figure as text, and whether it is within the bounds."""
    positions = run["pos_sel"].long()
    decoder = Decoder(model, run["prompt"].long()[None], steps=run["dec_logits"].shape[0])
    for n, record in enumerate(decoder.trace):
        listed = run[f"L{n}.topk_sel"].flatten(0, 1)
        equal, rows, common = shared(record["selected"][0][:, positions].flatten(0, 1), listed)
        figure = f"{equal} of {rows} rows equal, {common:.4%} of blocks"
        yield f"layer {n} selections", figure, common >= SHARED_BLOCKS
        error = relative(record["out"][0][:, positions].transpose(0, 1), run[f"L{n}.attn_sel"])
        yield f"layer {n} attention", f"relative error {error:.4f}", error <= ATTENTION_ERROR
    error = relative(decoder.logits[0], run["logits_prompt"])
    yield "prompt logits", f"relative error {error:.4f}", error <= LOGITS_ERROR
    yield from compare_decoding(decoder, run)


def compare_decoding(decoder, run):
    """Feeds the recorded ids, so that one early difference does not change the rest.

    The recorded block scores are BF16: at a cut many of them are equal or neighbours, where F32 scores are neither. So
    whole rows are compared where the scores at both cuts are further apart, all rows by the blocks they share, and the
    logits where every head of every layer selected the same blocks.
    """
    steps, layers = run["dec_logits"].shape[0], len(decoder.caches)
    from_scores = equal = untied = 0
    errors, common = [], []
    for t in range(steps):
        selections, _ = decoder.step(run["gen"][t : t + 1].long())
        same = 0
        for n, selected in enumerate(selections):
            listed = run[f"L{n}.dec_topk"][t].view(2, -1)
            count = selected.shape[-1]
            scores = [run[f"L{n}.{name}"][t, :, :count].float() for name in ("dec_pq", "dec_pcis")]
            from_scores += shared(recorded_selection(*scores), listed)[0]
            common.append(shared(selected[0], listed)[2])
            alike = [shared(selected[0][g : g + 1], listed[g : g + 1])[0] for g in range(2)]
            clear = [not tied(scores[0][g], scores[1][g]) for g in range(2)]
            same += sum(alike)
            equal += sum(a and c for a, c in zip(alike, clear))
            untied += sum(clear)
        if same == 2 * layers:
            errors.append(relative(decoder.logits[0], run["dec_logits"][t]))
    rows = 2 * layers * steps
    yield "decoding, from its scores", f"{from_scores} of {rows} rows equal", from_scores == rows
    yield "decoding, rows clear at cuts", f"{equal} of {untied} equal, of {rows}", equal >= UNTIED_ROWS * untied
    common = sum(common) / len(common)
    yield "decoding, selections", f"{common:.4%} of blocks", common >= SHARED_BLOCKS - 0.01
    mean = sum(errors) / max(1, len(errors))
    yield "decoding, logits", f"relative error {mean:.4f} in {len(errors)} of {steps} steps", mean <= LOGITS_ERROR


def recorded_selection(query_scores, importance):
    """The selection that follows from recorded block scores (2, N), in which the forced blocks are +infinity."""
    sparse = SparseConfig()
    everything = torch.ones_like(query_scores, dtype=torch.bool)
    taken = take(query_scores, query_scores.isinf(), everything, sparse.first_cut)
    return take(importance, taken, everything, sparse.topk)


def tied(query_scores, importance):
    """Whether the recorded scores on both sides of a cut are equal or within two BF16 steps (1 %)."""
    sparse = SparseConfig()
    if len(query_scores) <= sparse.topk:
        return False
    first = query_scores.sort(descending=True).values
    everything = torch.ones_like(query_scores, dtype=torch.bool)
    taken = take(query_scores, query_scores.isinf(), everything, sparse.first_cut)
    second = importance.masked_fill(taken, INFINITY).sort(descending=True).values
    cuts = (first, sparse.first_cut), (second, sparse.topk)
    return any(values[cut - 1] - values[cut] <= 0.01 * abs(values[cut]) for values, cut in cuts)


@torch.no_grad()
def main():
    folder = Path(sys.argv[1])
    model = golden_model(folder)
    good = True
    for name in RUNS:
        for what, figure, within in compare(model, load_file(str(folder / f"{name}.safetensors"))):
            print(f"{name:8} {what:28} {figure}{'' if within else '   OUTSIDE'}", flush=True)
            good &= within
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
