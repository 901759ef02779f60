"""pytest training/test_training.py: the reference against itself and against the fast attention."""

import itertools
import json
import math
import sys

import pytest
import torch

import export_sample_vectors
import fast
import nosa
from train import Muon, initial_weights

SMALL = dict(kernel_size=8, kernel_stride=4, init_blocks=1, block_size=16, window_size=32, topk=6, topk_q=2)
MODES = nosa.MODES


def config(mode, **sparse):
    return nosa.Config(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=16, vocab_size=64, sparse=nosa.SparseConfig(**{**SMALL, **sparse}, mode=mode),
    )  # fmt: skip


def model(mode, **sparse):
    made = config(mode, **sparse)
    weights = initial_weights(made, seed=3, scale=3.0)
    for name in weights:
        if name.endswith("delta.weight"):
            weights[name] = torch.randn(weights[name].shape, generator=torch.Generator().manual_seed(1))
    return nosa.Model(made, weights)


def tokens(length, batch=2):
    return torch.randint(0, 64, (batch, length), generator=torch.Generator().manual_seed(length))


def projections(mode, length=256):
    generator = torch.Generator().manual_seed(5)
    q = torch.randn(2, 4, length, 16, generator=generator)
    k, v = torch.randn(2, 2, 2, length, 16, generator=generator)
    cis = torch.rand(2, 2, length, generator=generator) * 3 if mode in ("nosa", "dma") else None
    return [x if x is None else x.requires_grad_() for x in (q, k, v, cis)]


@pytest.mark.parametrize("mode", MODES)
def test_decoding_equals_the_whole_forward(mode):
    reference, ids = model(mode), tokens(230)
    trace = []
    logits = reference.forward(ids, trace=trace)
    decoder = nosa.Decoder(reference, ids[:, :150], steps=80)
    for t in range(150, 230):
        selections, misses = decoder.step(ids[:, t])
        for n, selected in enumerate(selections):
            count = selected.shape[-1]
            assert torch.equal(selected, trace[n]["selected"][:, :, t, :count])
            assert not trace[n]["selected"][:, :, t, count:].any()
            assert (misses[n] <= selected.sum(-1)).all()
        torch.testing.assert_close(decoder.logits, logits[:, t], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("mode", MODES[:3])
def test_hits_stay_in_their_slots(mode):
    reference, ids = model(mode), tokens(240)
    decoder = nosa.Decoder(reference, ids[:, :160], steps=80)
    for t in range(160, 240):
        before = [cache.slots.clone() for cache in decoder.caches]
        selections, misses = decoder.step(ids[:, t])
        for cache, old, selected, missed in zip(decoder.caches, before, selections, misses):
            stayed = nosa.is_selected(old, selected)
            assert torch.equal(cache.slots[stayed], old[stayed])
            new_block = 1 if t % 16 == 0 else 0
            assert torch.equal((cache.slots != old).sum(-1), missed + new_block)


@pytest.mark.parametrize("mode", MODES)
def test_short_sequences_attend_everything(mode):
    trace = []
    model(mode).forward(tokens(6 * 16), trace=trace)
    for record in trace:
        causal = torch.arange(6) <= torch.arange(96)[:, None] // 16
        assert torch.equal(record["selected"], causal.expand(2, 2, -1, -1))


def test_ties_keep_the_lowest_blocks_at_both_cuts():
    sparse = config("nosa").sparse
    q, ck, cc = torch.zeros(1, 4, 1, 16), torch.zeros(1, 2, 79, 16), torch.zeros(1, 2, 79)
    table = nosa.select(q, ck, cc, torch.tensor([319]), 20, sparse)
    # First 0, local 17 to 19, one more query-aware block, then importance: all scores are equal.
    assert table[0, 0, 0].nonzero()[:, 0].tolist() == [0, 1, 2, 17, 18, 19]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("masked", (False, True))
def test_fast_attention_equals_the_reference_forward_and_backward(mode, masked, monkeypatch):
    # FlexAttention's uncompiled backward works on a CPU, although its public function refuses it.
    monkeypatch.setattr(sys.modules["torch.nn.attention.flex_attention"], "_validate_device", lambda *_: None)
    sparse, inputs = config(mode).sparse, projections(mode)
    given = [x for x in inputs if x is not None]
    record, quick = {}, {}
    expected = nosa.attention(*inputs, sparse, record)
    got = fast.FastAttention(compiled=False, masked=masked)(*inputs, sparse, quick)
    if mode != "full":
        assert torch.equal(quick["selected"], record["selected"])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(7))
    ours, theirs = (torch.autograd.grad((out * weight).sum(), given) for out in (got, expected))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("mode", ("nosa", "full"))
def test_dense_attention_equals_the_reference(mode):
    inputs = projections(mode, length=128)
    sparse = config(mode, topk=8).sparse
    torch.testing.assert_close(
        fast.dense_attention(*inputs), nosa.attention(*inputs, sparse), atol=1e-5, rtol=1e-5
    )


def test_bias_survives_bf16():
    q, k, _, cis = (x if x is None else x.detach() for x in projections("nosa", 128))
    wide_q, wide_k = fast.with_bias(q.bfloat16(), k.bfloat16(), cis, 32)
    first, rest = wide_q[:, ::2, :1].float(), wide_k.float().transpose(-1, -2)
    bias = first[..., 16:] @ rest[..., 16:, :] / math.sqrt(16)
    torch.testing.assert_close(bias[:, :, 0], cis, atol=1e-4, rtol=1e-4)
    assert torch.equal(wide_q[..., :16], q.bfloat16()) and torch.equal(wide_k[..., :16], k.bfloat16())


def test_importance_gets_a_gradient_and_the_selection_none():
    reference = model("nosa")
    for weight in reference.weights.values():
        weight.requires_grad_()
    reference.forward(tokens(200)).square().mean().backward()
    for n, name in itertools.product(range(2), ("A", "delta.weight")):
        assert reference.weights[f"model.layers.{n}.self_attn.{name}"].grad.abs().max() > 0


def test_config_survives_json():
    made = config("dma", dense_len=5)
    assert nosa.Config.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize("values", (dict(mode="nose"), dict(topk=3), dict(window_size=17)))
def test_wrong_sparse_config_is_an_error(values):
    with pytest.raises(ValueError):
        nosa.SparseConfig(**{**SMALL, **values})


def test_muon_step_is_orthogonal_enough():
    weight = torch.nn.Parameter(torch.zeros(24, 40))
    weight.grad = torch.randn(24, 40, generator=torch.Generator().manual_seed(2))
    Muon([weight], lr=1.0).step()
    values = torch.linalg.svdvals(weight.detach())
    assert values.min() > 0.5 and values.max() < 1.5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", [5, 96, 700])
def test_the_attention_that_exports_the_sample_is_the_reference(mode, length):
    made, prompt = model(mode), tokens(length)
    trace, own = [], []
    expected = made.forward(prompt, trace=trace)
    torch.testing.assert_close(made.forward(prompt, export_sample_vectors.attention, own), expected)
    for record, other in zip(trace, own):
        assert torch.equal(record["selected"], other["selected"])


def test_windows_far_below_the_largest_tie_and_the_lowest_block_is_taken():
    q, ck = torch.ones(1, 1, 1, 1), torch.tensor([0.0, -79.0, -81.0, -200.0])[None, None, :, None]
    scores = nosa.window_scores(q, ck, torch.ones(1, 4, dtype=torch.bool))[0, 0, 0]
    assert scores[0] > scores[1] > scores[2] == scores[3] > 0


def test_a_margin_is_the_gap_at_the_cut_or_around_equal_scores():
    def margin(scores, count):
        taken = torch.zeros(1, 1, 1, len(scores), dtype=torch.bool)
        before = taken.clone()
        taken[..., torch.tensor(scores).argsort(descending=True, stable=True)[:count]] = True
        return export_sample_vectors.margin(torch.tensor(scores)[None, None, None], before, taken).item()

    assert margin([4.0, 1.0, 3.0], 1) == 0.25
    assert margin([4.0, 2.0, 2.0, 1.9], 2) == pytest.approx(0.05)
    assert margin([2.1, 2.0, 2.0, 1.0], 2) == pytest.approx(0.1 / 2.1)
    assert margin([4.0, 1.0], 2) == math.inf
