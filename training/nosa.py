"""Reference of NOSA sparse attention in plain PyTorch: whole sequences, and decoding with a slot cache.

B sequences of S tokens, H query heads, G KV heads, D head dimension, M compression windows, N blocks. Queries are
(B, H, Q, D), keys and values (B, G, S, D), the importance `cis` (B, G, S), a selection is a table of bool (B, G, Q, N).
Weights are a dictionary of tensors by their names in the checkpoint; gradients pass through everything but the selection.
"""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

MODES = ("nosa", "infllm_v2", "dma", "full")
QUERY_CHUNK = 256
LOWEST = -80.0  # of a window's score before the softmax, below the largest
INFINITY = math.inf


@dataclass(frozen=True)
class SparseConfig:
    """`sparse_config` of config.json. Sizes are tokens, except for the counts of blocks init_blocks, topk and topk_q."""

    kernel_size: int = 32
    kernel_stride: int = 16
    init_blocks: int = 1
    block_size: int = 64
    window_size: int = 1024
    topk: int = 64
    topk_q: int = 16
    dense_len: int = 0
    mode: str = "nosa"

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"sparse_config.mode is {self.mode!r}, must be one of {', '.join(MODES)}")
        if self.block_size % self.kernel_stride or self.window_size % self.block_size:
            raise ValueError("block_size must be a multiple of kernel_stride, and window_size of block_size")
        if self.topk < self.forced_blocks or (self.mode == "nosa" and self.topk < self.first_cut):
            raise ValueError(f"topk is {self.topk}, below the forced or query-aware blocks")

    def changed(self, sizes):
        """With the sizes that NAME=VALUE,... names."""
        pairs = (pair.split("=") for pair in sizes.split(",") if pair)
        return replace(self, **{name: int(value) for name, value in pairs})

    @property
    def local_blocks(self):
        return self.window_size // self.block_size

    @property
    def forced_blocks(self):
        return self.init_blocks + self.local_blocks + 1

    @property
    def first_cut(self):
        """Blocks after the query-aware part of the mode nosa."""
        return self.init_blocks + self.local_blocks + self.topk_q

    @property
    def has_importance(self):
        return self.mode in ("nosa", "dma")


@dataclass(frozen=True)
class Config:
    """What config.json says, in Hugging Face's Llama spelling."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int = 32768
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = True
    bos_token_id: int = 1
    eos_token_id: tuple = (2, 4)
    sparse: SparseConfig = field(default_factory=SparseConfig)

    @staticmethod
    def from_json(values):
        if values.get("attention_bias") or values.get("rope_scaling"):
            raise ValueError("attention_bias and rope_scaling are not part of this reference")
        known = {f.name for f in fields(Config)}
        sparse = SparseConfig(**values.get("sparse_config", {}))
        given = {key: value for key, value in values.items() if key in known}
        given["eos_token_id"] = tuple(given.get("eos_token_id", (2, 4)))
        given.setdefault("head_dim", values["hidden_size"] // values["num_attention_heads"])
        return Config(sparse=sparse, **given)

    def to_json(self):
        values = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **asdict(self)}
        sparse = values.pop("sparse")
        values.update(eos_token_id=list(self.eos_token_id), hidden_act="silu", attention_bias=False, mlp_bias=False)
        values.update(torch_dtype="bfloat16", sparse_config=sparse)
        return values


class Model:
    """A configuration and the weights by checkpoint name."""

    def __init__(self, config, weights):
        self.config = config
        self.weights = weights

    @staticmethod
    def load(folder, dtype=torch.float32, device="cpu"):
        config = Config.from_json(json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")))
        tensors = load_file(str(Path(folder) / "model.safetensors"))
        return Model(config, {name: tensor.to(device, dtype) for name, tensor in tensors.items()})

    def layer(self, n):
        """Tensors of layer n by the last part of their names but "weight": q_proj, A, delta, gate_proj, ..."""
        prefix = f"model.layers.{n}."
        return {
            name.removeprefix(prefix).removesuffix(".weight").split(".")[-1]: tensor
            for name, tensor in self.weights.items()
            if name.startswith(prefix)
        }

    def hidden(self, tokens, core=None, trace=None):
        """Hidden states after the last norm. `trace`, a list, receives what each layer computed, as a dictionary."""
        core = core or attention
        rope = rope_table(torch.arange(tokens.shape[1], device=tokens.device), self.config)
        x = F.embedding(tokens, self.weights["model.embed_tokens.weight"])
        for n in range(self.config.num_hidden_layers):
            layer = self.layer(n)
            q, k, v, cis = attention_inputs(x, layer, rope, self.config)
            record = {"q": q, "k": k, "v": v, "cis": cis}
            out = core(q, k, v, cis, self.config.sparse, record if trace is not None else None)
            x = layer_output(x, out, layer, self.config)
            if trace is not None:
                trace.append({**record, "out": out})
        return rms_norm(x, self.weights["model.norm.weight"], self.config.rms_norm_eps)

    def logits(self, hidden):
        weights = self.weights
        head = weights["model.embed_tokens.weight"] if self.config.tie_word_embeddings else weights["lm_head.weight"]
        return linear(hidden, head)

    def forward(self, tokens, core=None, trace=None):
        """Logits (B, S, vocabulary) of `tokens` (B, S)."""
        return self.logits(self.hidden(tokens, core, trace))


def wide(x):
    """x in F32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def linear(x, weight):
    return F.linear(x, weight.to(x.dtype))


def rms_norm(x, weight, eps):
    y = wide(x)
    return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def rope_table(positions, config):
    """Cosines and sines, (positions, D / 2), of the half-rotation layout.

    The angles are rounded to F32, as in the implementations that the released models were trained with: exact ones change
    the logits at 4,000 tokens by 1e-3.
    """
    half = torch.arange(config.head_dim // 2, device=positions.device, dtype=torch.float64)
    frequencies = 1 / (config.rope_theta ** (2 * half / config.head_dim)).float()
    angles = (positions[:, None].float() * frequencies).double()
    return angles.cos().float(), angles.sin().float()


def rotate(x, rope):
    cos, sin = rope
    first, second = wide(x).chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(x.dtype)


def attention_inputs(x, layer, rope, config):
    """q and k after RoPE, v, and cis, or None in a mode without importance."""
    batch, length, _ = x.shape
    y = rms_norm(x, layer["input_layernorm"], config.rms_norm_eps)

    def heads(name):
        return linear(y, layer[name]).view(batch, length, -1, config.head_dim).transpose(1, 2)

    q, k, v = heads("q_proj"), heads("k_proj"), heads("v_proj")
    cis = importance(v, layer) if config.sparse.has_importance else None
    return rotate(q, rope), rotate(k, rope), v, cis


def importance(v, layer):
    """A[g] * softplus(delta[g] . v_t), with all KV heads of v_t in one row; F32 at least."""
    row = wide(v.transpose(1, 2).flatten(2))
    inner = (row[:, :, None] * layer["delta"]).sum(-1)  # no matrix product: autocast would round it
    return (layer["A"] * F.softplus(inner)).transpose(1, 2)


def layer_output(x, out, layer, config):
    """The rest of a layer, after the attention output (B, H, S, D)."""
    x = x + linear(out.transpose(1, 2).flatten(2).to(x.dtype), layer["o_proj"])
    y = rms_norm(x, layer["post_attention_layernorm"], config.rms_norm_eps)
    return x + linear(F.silu(linear(y, layer["gate_proj"])) * linear(y, layer["up_proj"]), layer["down_proj"])


def attention(q, k, v, cis, sparse, record=None):
    """Attention of every position over its selected blocks. `record` receives "selected" (B, G, S, N)."""
    length = k.shape[2]
    ck, cc = compress(k, cis, sparse)
    outputs, tables = [], []
    for start in range(0, length, QUERY_CHUNK):
        positions = torch.arange(start, min(start + QUERY_CHUNK, length), device=q.device)
        rows = q[:, :, start : start + QUERY_CHUNK]
        table = select(rows, ck, cc, positions, math.ceil(length / sparse.block_size), sparse)
        attended = table.repeat_interleave(sparse.block_size, -1)[..., :length]
        causal = torch.arange(length, device=q.device) <= positions[:, None]
        outputs.append(attend(rows, k, v, cis, attended & causal))
        tables.append(table)
    if record is not None:
        record["selected"] = torch.cat(tables, 2)
    return torch.cat(outputs, 2)


def attend(q, k, v, cis, mask):
    """softmax(q . k / sqrt(D) + cis) v over the tokens where `mask` (B, G, Q, S) is true."""
    scores = by_group(q, k) @ k.transpose(-1, -2)[:, :, None] / math.sqrt(q.shape[-1])
    if cis is not None:
        scores = scores + cis[:, :, None, None]
    weights = scores.masked_fill(~mask[:, :, None], -INFINITY).softmax(-1)
    return (weights.to(v.dtype) @ v[:, :, None]).flatten(1, 2)


def by_group(q, k):
    """(B, H, Q, D) as (B, G, H / G, Q, D)."""
    return q.unflatten(1, (k.shape[1], -1))


@torch.no_grad()
def compress(k, cis, sparse):
    """Means of k and cis over the complete windows: (B, G, M, D) and (B, G, M), or None without cis."""
    if k.shape[2] < sparse.kernel_size:
        return k[:, :, :0], None if cis is None else cis[:, :, :0]
    ck = k.unfold(2, sparse.kernel_size, sparse.kernel_stride).mean(-1)
    return ck, None if cis is None else cis.unfold(2, sparse.kernel_size, sparse.kernel_stride).mean(-1)


@torch.no_grad()
def select(q, ck, cc, positions, count, sparse):
    """The blocks, of `count`, that the queries at `positions` attend."""
    blocks = torch.arange(count, device=q.device)
    current = (positions // sparse.block_size)[:, None]
    causal = (blocks <= current).expand(q.shape[0], ck.shape[1], -1, -1)
    if sparse.mode == "full":
        return causal
    taken = causal & ((blocks < sparse.init_blocks) | (blocks >= current - sparse.local_blocks))
    visible = visible_windows(positions, ck.shape[2], sparse)
    if sparse.mode != "dma":
        scores = block_scores(window_scores(q, ck, visible), count, sparse, 0.0)
        taken = take(scores, taken, causal, sparse.first_cut if sparse.mode == "nosa" else sparse.topk)
    if sparse.has_importance:
        scores = block_scores(cc[:, :, None].masked_fill(~visible, -INFINITY), count, sparse, -INFINITY)
        taken = take(scores, taken, causal, sparse.topk)
    dense = (current < sparse.topk) | (positions < sparse.dense_len)[:, None]
    return torch.where(dense, causal, taken)


def visible_windows(positions, windows, sparse):
    """(Q, M): whether the window is complete at the position."""
    last = torch.arange(windows, device=positions.device) * sparse.kernel_stride + sparse.kernel_size - 1
    return last <= positions[:, None]


def window_scores(q, ck, visible):
    """Softmax over the visible windows for each query head, summed over the heads of a group: (B, G, Q, M).

    A window further than LOWEST below the largest counts as that far: in F32 the exponential vanishes soon after, at a
    place that depends on who computes it, and the order of the blocks would too.
    """
    scores = by_group(q, ck) @ ck.transpose(-1, -2)[:, :, None] / math.sqrt(q.shape[-1])
    if not ck.shape[2]:
        return wide(scores).sum(2)
    scores = wide(scores).masked_fill(~visible, -INFINITY)
    lifted = torch.maximum(scores, scores.amax(-1, keepdim=True) + LOWEST)
    return lifted.masked_fill(~visible, -INFINITY).softmax(-1).nan_to_num(0.0).sum(2)


def block_scores(windows, count, sparse, none):
    """Per block the maximum over its windows and the one before them; `none` where there is no window."""
    per_block = sparse.block_size // sparse.kernel_stride
    padded = F.pad(windows, (1, per_block * count - windows.shape[-1]), value=none)
    return padded.unfold(-1, per_block + 1, per_block).amax(-1)


def take(scores, taken, causal, budget):
    """Adds the blocks of the highest scores until `budget` are taken; among equals the lowest index."""
    scores = scores.masked_fill(taken, INFINITY).masked_fill(~causal, -INFINITY)
    order = scores.argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(-1, order, places)
    return (taken | (rank < budget)) & causal


class LayerCache:
    """K, V and importance of one layer, with room for `capacity` tokens, and slots for the blocks of each KV head.

    The slots stand for the device memory: attention reads K and V from them alone. There are topk of them, or as many as
    dense_len needs. `slots` (B, G, slots) names the block in each slot, -1 for none.
    """

    def __init__(self, record, capacity, sparse):
        self.sparse = sparse
        blocks = math.ceil(capacity / sparse.block_size)
        self.length = record["k"].shape[2]
        padding = blocks * sparse.block_size - self.length
        self.k, self.v = (F.pad(record[name], (0, 0, 0, padding)) for name in "kv")
        self.cis = None if record["cis"] is None else F.pad(record["cis"], (0, padding))
        self.ck, self.cc = compress(record["k"], record["cis"], sparse)
        if sparse.mode != "full":
            self._fill_slots(record["selected"][:, :, -1])

    def _fill_slots(self, selected):
        batch, groups, _ = selected.shape
        slots = max(self.sparse.topk, math.ceil(self.sparse.dense_len / self.sparse.block_size))
        self.slots = torch.full((batch, groups, slots), -1, device=selected.device)
        shape = (batch, groups, slots, self.sparse.block_size, self.k.shape[-1])
        self.slot_k, self.slot_v = self.k.new_zeros(shape), self.v.new_zeros(shape)
        self._load(selected)

    def append(self, k, v, cis):
        """Adds one token, and the window that it completes."""
        at = self.length
        self.k[:, :, at], self.v[:, :, at] = k[:, :, 0], v[:, :, 0]
        if cis is not None:
            self.cis[:, :, at] = cis[:, :, 0]
        self.length += 1
        start = self.ck.shape[2] * self.sparse.kernel_stride
        if self.length >= start + self.sparse.kernel_size:
            window = slice(start, start + self.sparse.kernel_size)
            ck, cc = compress(self.k[:, :, window], None if cis is None else self.cis[:, :, window], self.sparse)
            self.ck = torch.cat((self.ck, ck), 2)
            self.cc = None if cc is None else torch.cat((self.cc, cc), 2)

    def decode(self, q):
        """Attention of the last token; its selection (B, G, N) and the number of missed blocks (B, G)."""
        position = torch.tensor([self.length - 1], device=q.device)
        count = math.ceil(self.length / self.sparse.block_size)
        selected = select(q, self.ck, self.cc, position, count, self.sparse)[:, :, 0]
        if self.sparse.mode == "full":
            k, v = self.k[:, :, : self.length], self.v[:, :, : self.length]
            mask = torch.ones(k.shape[:2] + (1, self.length), dtype=torch.bool, device=q.device)
            return attend(q, k, v, None, mask), selected, torch.zeros_like(selected[..., 0], dtype=torch.long)
        misses = self._load(selected)
        return self._attend_slots(q, selected), selected, misses

    def _load(self, selected):
        """Brings the selected blocks into slots that are not selected. A block that has just begun is no miss."""
        resident = in_blocks(self.slots, selected.shape[-1])
        missing = selected & ~resident
        kept = is_selected(self.slots, selected)
        slots, number = self.slots.shape[-1], missing.sum(-1, keepdim=True)
        incoming = F.pad(missing.to(torch.int8).argsort(dim=-1, descending=True, stable=True), (0, slots))[..., :slots]
        free = kept.to(torch.int8).argsort(dim=-1, stable=True)
        rank = torch.arange(slots, device=free.device)
        new = self.slots.scatter(-1, free, torch.where(rank < number, incoming, self.slots.gather(-1, free)))
        changed = new != self.slots
        self.slots = new
        self._copy(changed)
        just_begun = (self.length - 1) % self.sparse.block_size == 0
        return missing.sum(-1) - (missing[..., -1].long() if just_begun else 0)

    def _copy(self, changed):
        """Copies the blocks of the changed slots, and the last token into the slot of the current block."""
        for whole, slots in ((self.k, self.slot_k), (self.v, self.slot_v)):
            blocks = whole.unflatten(2, (-1, self.sparse.block_size))
            index = self.slots.clamp(min=0)[..., None, None].expand_as(slots)
            slots.copy_(torch.where(changed[..., None, None], blocks.gather(2, index), slots))
            block, offset = divmod(self.length - 1, self.sparse.block_size)
            current = (self.slots == block)[..., None]
            last = whole[:, :, self.length - 1][:, :, None]
            slots[:, :, :, offset] = torch.where(current, last, slots[:, :, :, offset])

    def _attend_slots(self, q, selected):
        size = self.sparse.block_size
        tokens = (self.slots[..., None] * size + torch.arange(size, device=q.device)).flatten(2)
        used = is_selected(self.slots, selected).repeat_interleave(size, -1) & (tokens < self.length)
        cis = None if self.cis is None else self.cis.gather(-1, tokens.clamp(min=0, max=self.cis.shape[-1] - 1))
        return attend(q, self.slot_k.flatten(2, 3), self.slot_v.flatten(2, 3), cis, used[:, :, None])


def in_blocks(slots, count):
    """(B, G, count): whether a slot holds the block."""
    table = torch.zeros(slots.shape[:2] + (count + 1,), dtype=torch.bool, device=slots.device)
    return table.scatter_(-1, torch.where(slots < 0, count, slots), True)[..., :count]


def is_selected(slots, selected):
    """(B, G, slots): whether the slot's block is selected."""
    return selected.gather(-1, slots.clamp(min=0)) & (slots >= 0)


class Decoder:
    """Decodes a batch of sequences of one length, token by token, after a prefill of their prompts (B, S).

    The caches are F32 even where the prefill was computed in less.
    """

    def __init__(self, model, prompts, steps, core=None):
        self.model = model
        self.trace = trace = []
        hidden = model.hidden(prompts, core, trace)
        self.logits = model.logits(hidden[:, -1])
        capacity = prompts.shape[1] + steps
        self.caches = [LayerCache(widened(record), capacity, model.config.sparse) for record in trace]

    def step(self, tokens):
        """Feeds one token a sequence (B); returns the selections and the misses by layer, and sets `logits`."""
        config, weights = self.model.config, self.model.weights
        rope = rope_table(torch.tensor([self.caches[0].length], device=tokens.device), config)
        x = F.embedding(tokens[:, None], weights["model.embed_tokens.weight"])
        selections, misses = [], []
        for n, cache in enumerate(self.caches):
            layer = self.model.layer(n)
            q, k, v, cis = attention_inputs(x, layer, rope, config)
            cache.append(k, v, cis)
            out, selected, missed = cache.decode(q)
            x = layer_output(x, out, layer, config)
            selections.append(selected)
            misses.append(missed)
        hidden = rms_norm(x, weights["model.norm.weight"], config.rms_norm_eps)
        self.logits = self.model.logits(hidden[:, -1])
        return selections, misses


def widened(record):
    return {name: wide(x) if x is not None and x.is_floating_point() else x for name, x in record.items()}
