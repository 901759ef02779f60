"""Writes the sample model with seeded random weights: make_model.py MODEL."""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors import TensorSpec, serialize_file

SEED = 20251015
LAYERS, HIDDEN, INTERMEDIATE, VOCABULARY = 4, 384, 1024, 4096
HEADS, KV_HEADS, HEAD_DIM = 6, 2, 64

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 32768,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": [2, 4],
    "torch_dtype": "bfloat16",
    "sparse_config": {
        "kernel_size": 32,
        "kernel_stride": 16,
        "init_blocks": 1,
        "block_size": 64,
        "window_size": 256,
        "topk": 16,
        "topk_q": 4,
    },
}

GENERATION_CONFIG = {"bos_token_id": 1, "eos_token_id": [2, 4], "do_sample": False}


def weights(random):
    """Tensors by name. Matrices keep the size of what they multiply, so that activations neither die nor explode."""

    def matrix(rows, columns, scale=1.0):
        return random.standard_normal((rows, columns)) * scale / np.sqrt(columns)

    # Embeddings are small beside what the layers add: with tied embeddings the model would else repeat its input.
    tensors = {"model.embed_tokens.weight": random.standard_normal((VOCABULARY, HIDDEN)) * 0.1}
    for n in range(LAYERS):
        layer = f"model.layers.{n}."
        attention = layer + "self_attn."
        tensors[layer + "input_layernorm.weight"] = np.ones(HIDDEN)
        tensors[attention + "q_proj.weight"] = matrix(HEADS * HEAD_DIM, HIDDEN, 2.0)
        tensors[attention + "k_proj.weight"] = matrix(KV_HEADS * HEAD_DIM, HIDDEN, 2.0)
        tensors[attention + "v_proj.weight"] = matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        tensors[attention + "o_proj.weight"] = matrix(HIDDEN, HEADS * HEAD_DIM)
        tensors[attention + "A"] = 0.5 + random.random(KV_HEADS)
        tensors[attention + "delta.weight"] = matrix(KV_HEADS, KV_HEADS * HEAD_DIM)
        tensors[layer + "post_attention_layernorm.weight"] = np.ones(HIDDEN)
        tensors[layer + "mlp.gate_proj.weight"] = matrix(INTERMEDIATE, HIDDEN)
        tensors[layer + "mlp.up_proj.weight"] = matrix(INTERMEDIATE, HIDDEN)
        tensors[layer + "mlp.down_proj.weight"] = matrix(HIDDEN, INTERMEDIATE)
    tensors["model.norm.weight"] = np.ones(HIDDEN)
    return tensors


def bfloat16(values):
    """The upper half of the float32 bits, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "generation_config.json", GENERATION_CONFIG)
    tensors = {name: bfloat16(values) for name, values in weights(np.random.default_rng(SEED)).items()}
    # A spec is a pointer into the array of `tensors`, which therefore has to stay.
    specs = {
        name: TensorSpec(dtype="bfloat16", shape=bits.shape, data_ptr=bits.ctypes.data, data_len=bits.nbytes)
        for name, bits in tensors.items()
    }
    serialize_file(specs, str(folder / "model.safetensors"), {"format": "pt"})


if __name__ == "__main__":
    main()
