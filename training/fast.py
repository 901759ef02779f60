"""nosa.attention for training on a GPU: FlexAttention over the blocks that a tile of queries selects.

The importance rides in the head dimension: q gets the constant sqrt(D) and k gets cis, so that their product over sqrt(D)
is the bias, and its gradient comes from that of k. Every function is plain PyTorch, so the same code runs uncompiled on a
CPU, where it is compared with the reference.
"""

import math

import torch
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention

import nosa

TILE = 128  # queries and keys of a FlexAttention tile
MASK_CHUNK = 1024  # queries of one explicit mask
SELECT_CHUNK = 2048  # queries scored at once; bounds the memory of the window scores


class FastAttention:
    """A `core` of nosa.Model.hidden. The length has to be a multiple of TILE.

    With `masked` the sparse part goes through PyTorch's own attention with an explicit mask instead of FlexAttention: it
    skips nothing but later keys, and needs no compilation.
    """

    def __init__(self, compiled, masked=False):
        self._masked = masked
        self.dense = False  # all causal blocks, whatever the mode
        compile = torch.compile if compiled else lambda function, **_: function
        self._flex = compile(flex_attention, dynamic=False)
        self._select_rows = compile(select_rows, dynamic=False)
        self._with_bias = compile(with_bias, dynamic=False)
        self._tiles = compile(tiles, dynamic=False)
        self._compress = compile(nosa.compress, dynamic=False)

    def __call__(self, q, k, v, cis, sparse, record=None):
        length, dim = q.shape[2:]
        if length % TILE:
            raise ValueError(f"{length} tokens, must be a multiple of {TILE}")
        dense = self.dense or sparse.mode == "full" or length <= sparse.topk * sparse.block_size
        if sparse.dense_len or sparse.window_size < sparse.kernel_size - sparse.kernel_stride:
            raise ValueError("dense_len and windows longer than the local part are for the reference alone")
        untracked = record is None or sparse.mode == "full"
        table = None if dense and untracked else self.select(q, k, cis, sparse)
        if record is not None:
            record["selected"] = table
        if dense:
            return dense_attention(q, k, v, cis)
        if self._masked:
            return masked_attention(q, k, v, cis, table, sparse.block_size)
        if cis is not None:
            q, k = self._with_bias(q, k, cis, 2 * dim)
        mask = self._block_mask(table, q.shape[1] // k.shape[1], sparse.block_size)
        return self._flex(q, k, v, block_mask=mask, scale=1 / math.sqrt(dim), enable_gqa=True)

    @torch.no_grad()
    def select(self, q, k, cis, sparse):
        """The table of all positions, as nosa.select gives it."""
        length = k.shape[2]
        count = math.ceil(length / sparse.block_size)
        q, k = q.detach(), k.detach()
        ck, cc = self._compress(k.float(), None if cis is None else cis.detach(), sparse)
        rows = []
        for start in range(0, length, SELECT_CHUNK):
            positions = torch.arange(start, min(start + SELECT_CHUNK, length), device=q.device)
            rows.append(self._select_rows(q[:, :, start : start + SELECT_CHUNK], ck, cc, positions, count, sparse))
        return torch.cat(rows, 2)

    def _block_mask(self, table, group, block_size):
        """The tiles that hold a selected block; those that every query attends whole skip the mask."""
        length = table.shape[2]

        def attends(b, h, query, key):
            return (query >= key) & table[b, h // group, query, key // block_size]

        number, index, full_number, full_index = self._tiles(table, group, TILE // block_size)
        return BlockMask.from_kv_blocks(
            number, index, full_number, full_index, BLOCK_SIZE=TILE, mask_mod=attends, seq_lengths=(length, length)
        )


def dense_attention(q, k, v, cis):
    """Causal attention with the bias, through the fused kernels: they want one head dimension for q, k and v."""
    dim = q.shape[-1]
    if cis is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    q, k = with_bias(q, k, cis, dim + 8)
    out = F.scaled_dot_product_attention(
        q, k, F.pad(v, (0, 8)), is_causal=True, scale=1 / math.sqrt(dim), enable_gqa=True
    )
    return out[..., :dim]


def masked_attention(q, k, v, cis, table, block_size):
    """Attention with an explicit mask, a chunk of queries after the other."""
    dim, length, group = q.shape[-1], q.shape[2], q.shape[1] // k.shape[1]
    if cis is not None:
        q, k = with_bias(q, k, cis, dim + 8)
        v = F.pad(v, (0, 8))
    k, v = (x.repeat_interleave(group, 1) for x in (k, v))
    keys, outputs = torch.arange(length, device=q.device), []
    for start in range(0, length, MASK_CHUNK):
        end = min(start + MASK_CHUNK, length)
        mask = table[:, :, start:end].repeat_interleave(block_size, -1)[..., :end] & (keys[:end] <= keys[start:end, None])
        out = F.scaled_dot_product_attention(
            q[:, :, start:end], k[:, :, :end], v[:, :, :end],
            attn_mask=mask.repeat_interleave(group, 1), scale=1 / math.sqrt(dim),
        )  # fmt: skip
        outputs.append(out[..., :dim])
    return torch.cat(outputs, 2)


def with_bias(q, k, cis, width):
    """q and k of `width` with the bias in them. Two columns, so that a BF16 k holds cis to 16 bits."""
    dim = q.shape[-1]
    upper = cis.detach().to(k.dtype)
    lower = (cis - upper.to(cis.dtype)).to(k.dtype)
    constant = q.new_full(q.shape[:-1] + (2,), math.sqrt(dim))
    padding = (0, width - dim - 2)
    q = F.pad(torch.cat((q, constant), -1), padding)
    return q, F.pad(torch.cat((k, upper[..., None], lower[..., None]), -1), padding)


def tiles(table, group, blocks):
    """Number and indices of the partly and of the wholly attended tiles, for every tile of queries and query head."""
    batch, groups, length, count = table.shape
    table = F.pad(table, (0, -count % blocks))
    tiled = table.view(batch, groups, length // TILE, TILE, -1, blocks)
    some, whole = tiled.any(5).any(3), tiled.all(5).all(3)
    diagonal = torch.eye(some.shape[-1], dtype=torch.bool, device=table.device)
    whole = whole & ~diagonal
    return (*listed(some & ~whole, group), *listed(whole, group))


def listed(tile_table, group):
    wide = tile_table.repeat_interleave(group, 1)
    order = wide.to(torch.int32).argsort(dim=-1, descending=True, stable=True)
    return wide.sum(-1).to(torch.int32), order.to(torch.int32).contiguous()


def select_rows(q, ck, cc, positions, count, sparse):
    """nosa.select without sorts: a block's rank is the number of blocks before it.

    Needs n_local * block_size >= kernel_size - kernel_stride: then only forced blocks have incomplete windows, and the
    importance of blocks is the same for all positions.
    """
    blocks = torch.arange(count, device=q.device)
    current = (positions // sparse.block_size)[:, None]
    causal = blocks <= current
    taken = causal & ((blocks < sparse.init_blocks) | (blocks >= current - sparse.local_blocks))
    if sparse.mode in ("nosa", "infllm_v2"):
        visible = nosa.visible_windows(positions, ck.shape[2], sparse)
        scores = pooled(nosa.window_scores(q.float(), ck, visible), count, sparse, 0.0)
        taken = take(scores, taken, causal, sparse.first_cut if sparse.mode == "nosa" else sparse.topk)
    if sparse.has_importance:
        scores = pooled(cc, count, sparse, -math.inf)[:, :, None]
        taken = take(scores, taken, causal, sparse.topk)
    return torch.where(current < sparse.topk, causal, taken)


def pooled(windows, count, sparse, none):
    """nosa.block_scores as maxima of whole blocks and of the last window before each."""
    per_block = sparse.block_size // sparse.kernel_stride
    padded = F.pad(windows, (0, per_block * count - windows.shape[-1]), value=none)
    own = padded.unflatten(-1, (count, per_block))
    before = F.pad(own[..., :-1, -1], (1, 0), value=none)
    return torch.maximum(own.amax(-1), before)


def take(scores, taken, causal, budget):
    """nosa.take by comparing every pair of blocks, which compiles to one kernel."""
    scores = torch.where(causal, torch.where(taken, math.inf, scores), -math.inf)
    index = torch.arange(scores.shape[-1], device=scores.device)
    other, own = scores[..., None, :], scores[..., :, None]
    first = (other > own) | ((other == own) & (index < index[:, None]))
    return (taken | (first.sum(-1) < budget)) & causal
