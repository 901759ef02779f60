"""Writes test vectors: export_vectors.py OUT. Each file is a tiny random model and what nosa.py computes with it.

The weights are BF16. Everything is computed in F64 and in F32, and a case is written only if both select the same blocks
and decode the same tokens: then what decides is no rounding, but for exact ties.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import nosa
from train import initial_weights

SEED = 20251015
SMALL = dict(kernel_size=8, kernel_stride=4, init_blocks=1, block_size=16, window_size=32, topk=6, topk_q=2)
USUAL = dict(kernel_size=32, kernel_stride=16, init_blocks=1, block_size=64, window_size=64, topk=4, topk_q=2)
STEPS = 20
EVERY = 4  # of so many positions of the prompt one is written, the last one among them

# name: mode, layers, query heads, KV heads, head_dim, prompt length, sparse parameters
CASES = {
    "nosa-d32": ("nosa", 2, 4, 2, 32, 140, SMALL),
    "infllm-d32": ("infllm_v2", 1, 4, 2, 32, 140, SMALL),
    "dma-d32": ("dma", 1, 4, 2, 32, 140, SMALL),
    "full-d32": ("full", 2, 4, 2, 32, 90, SMALL),
    "nosa-d64-usual-windows": ("nosa", 1, 4, 2, 64, 340, USUAL),
    "nosa-d128": ("nosa", 1, 2, 1, 128, 140, SMALL),
    "nosa-group16": ("nosa", 1, 16, 1, 32, 140, SMALL),
    "nosa-group1": ("nosa", 1, 2, 2, 32, 140, SMALL),
    "nosa-below-one-window": ("nosa", 1, 2, 1, 32, 5, SMALL),
    "nosa-up-to-topk-blocks": ("nosa", 1, 2, 1, 32, 6 * 16, SMALL),
    "nosa-within-topk-blocks": ("nosa", 1, 2, 1, 32, 40, SMALL),
    "nosa-no-local-blocks": ("nosa", 1, 2, 1, 32, 140, {**SMALL, "window_size": 0, "topk": 4}),
    "nosa-two-first-blocks": ("nosa", 1, 4, 2, 32, 140, {**SMALL, "init_blocks": 2, "topk": 7, "topk_q": 3}),
    "nosa-dense-len": ("nosa", 1, 2, 1, 32, 120, {**SMALL, "dense_len": 135}),
    "nosa-ties": ("nosa", 1, 4, 2, 32, 140, SMALL),
    "infllm-ties": ("infllm_v2", 1, 4, 2, 32, 140, SMALL),
}  # fmt: skip


def config(mode, layers, heads, groups, dim, sparse):
    return nosa.Config(
        hidden_size=16, intermediate_size=24, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=groups, head_dim=dim, vocab_size=32, max_position_embeddings=1024,
        sparse=nosa.SparseConfig(**sparse, mode=mode),
    )  # fmt: skip


def weights(made, seed, ties):
    """Larger than at the start of a training, so that scores differ; with `ties` every score is equal."""
    tensors = initial_weights(made, seed, scale=4.0)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in tensors.items():
        if name.endswith("delta.weight") and not ties:
            tensors[name] = torch.randn(tensor.shape, generator=generator)
        elif name.endswith("self_attn.A"):
            tensors[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif name.endswith("q_proj.weight") and ties:
            tensors[name] = torch.zeros_like(tensor)
    return {name: tensor.bfloat16() for name, tensor in tensors.items()}


def listed(table, width):
    """Selected blocks of a table (..., N), ascending, -1 padding, as (..., width) of int32."""
    blocks = torch.where(table, torch.arange(table.shape[-1]), table.shape[-1]).sort(-1).values[..., :width]
    blocks = torch.where(blocks == table.shape[-1], -1, blocks)
    return torch.nn.functional.pad(blocks, (0, width - blocks.shape[-1]), value=-1).to(torch.int32)


def computed(made, tensors, prompt, dtype):
    """All tensors of a case but the weights."""
    model = nosa.Model(made, {name: tensor.to(dtype) for name, tensor in tensors.items()})
    blocks = max((prompt.shape[1] + STEPS - 1) // made.sparse.block_size + 1, made.sparse.topk)
    decoder = nosa.Decoder(model, prompt, STEPS)
    ids, logits, selected, misses = [decoder.logits.argmax(-1)], [], [], []
    for _ in range(STEPS):
        tables, missed = decoder.step(ids[-1])
        ids.append(decoder.logits.argmax(-1))
        logits.append(decoder.logits[0])
        selected.append(torch.stack([listed(table[0], blocks) for table in tables]))
        misses.append(torch.stack([count[0] for count in missed]))
    whole = torch.cat((prompt, torch.stack(ids[:-1], 1)), 1)
    length = prompt.shape[1]
    positions = torch.arange((length - 1) % EVERY, length, EVERY)
    return {
        "tokens": prompt[0].to(torch.int32),
        "positions": positions.to(torch.int32),
        "logits": model.forward(prompt)[0, positions].float(),
        "selected": torch.stack([listed(record["selected"][0], blocks) for record in decoder.trace]),
        "decode.tokens": torch.cat(ids).to(torch.int32),
        "decode.logits": torch.stack(logits).float(),
        "decode.selected": torch.stack(selected),
        "decode.misses": torch.stack(misses).to(torch.int32),
        "whole.logits": model.forward(whole)[0, -STEPS:].float(),
    }


def case(name, seed):
    """Tensors and metadata, or None where rounding decides something."""
    mode, layers, heads, groups, dim, length, sparse = CASES[name]
    made = config(mode, layers, heads, groups, dim, sparse)
    tensors = weights(made, seed, ties="ties" in name)
    prompt = torch.randint(0, 32, (1, length), generator=torch.Generator().manual_seed(seed))
    exact, single = (computed(made, tensors, prompt, dtype) for dtype in (torch.float64, torch.float32))
    if any(not torch.equal(exact[key], single[key]) for key in ("selected", "decode.selected", "decode.tokens")):
        return None
    torch.testing.assert_close(exact["whole.logits"], exact["decode.logits"], atol=1e-5, rtol=1e-5)
    del exact["whole.logits"]
    exact["selected"] = trimmed(exact["selected"][:, :, exact["positions"]])
    exact["decode.selected"] = trimmed(exact["decode.selected"])
    # One entry: the order of several is not kept, and the same case has to give the same bytes.
    metadata = {"config": json.dumps(made.to_json())}
    return {**{f"weights.{key}": tensor for key, tensor in tensors.items()}, **exact}, metadata


def trimmed(blocks):
    """Without the columns that are padding everywhere."""
    return blocks[..., : int((blocks >= 0).sum(-1).max())].contiguous()


@torch.no_grad()
def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    total = 0
    for name in CASES:
        seed = SEED
        while (made := case(name, seed)) is None:
            seed += 1
        path = out / f"{name}.safetensors"
        save_file(made[0], str(path), made[1])
        total += path.stat().st_size
        print(f"{name}: seed {seed}, {path.stat().st_size:,} bytes, {int(made[0]['decode.misses'].sum())} misses")
    print(f"{total:,} bytes")


if __name__ == "__main__":
    main()
