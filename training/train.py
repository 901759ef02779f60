"""Trains one attention mode: train.py --mode MODE --data CORPUS --out FOLDER [--init STATE] [--resume].

Stages of growing length, each of a number of steps with the same number of tokens. Data, order, steps and seed are the
same for every mode. The state is saved after each stage and every minute, so a run can be cut at any time; --resume goes
on with it. While a length needs no selection, `full` and `infllm_v2` are one model, and so are `nosa` and `dma`: --init
takes the state of the other one after that stage.
"""

import argparse
import json
import math
import random
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import nosa
from data import ANSWER, IGNORED, TASKS, TEXT, Chat, Sequences, Split, evaluation_row
from fast import FastAttention

STAGES = "1024:1500,8192:1000:dense,8192:800"
TOKENS_A_STEP = 65536
ADAM_RATE, MUON_RATE = 3e-3, 0.02
WARMUP, DECAY = 40, 0.4  # steps; share of all steps at the end
SAVE_EVERY = 60  # seconds

# rope_theta: with 64 dimensions a head and theta 500,000 nine of the 32 pairs turn less than once in 65,536 tokens, so a
# key looks the same near and far, which retrieval learned at 1,024 tokens needs in order to work at 16,384.
CONFIG = nosa.Config(
    hidden_size=384, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=2,
    head_dim=64, vocab_size=4096, max_position_embeddings=32768, rope_theta=500000.0,
    sparse=nosa.SparseConfig(kernel_size=8, kernel_stride=4, window_size=256, topk=32, topk_q=12),
)  # fmt: skip


def initial_weights(config, seed, scale=1.0):
    """Normal matrices of the size of what they multiply; projections back into the residual stream begin at zero."""
    generator = torch.Generator().manual_seed(seed)
    heads, groups, hidden = config.num_attention_heads, config.num_key_value_heads, config.hidden_size
    rows = groups * config.head_dim

    def matrix(rows, columns, size):
        return torch.randn(rows, columns, generator=generator) * size / math.sqrt(columns)

    weights = {"model.embed_tokens.weight": torch.randn(config.vocab_size, hidden, generator=generator) * 0.02 * scale}
    for n in range(config.num_hidden_layers):
        layer = f"model.layers.{n}."
        attention, mlp = layer + "self_attn.", layer + "mlp."
        weights[layer + "input_layernorm.weight"] = torch.ones(hidden)
        weights[layer + "post_attention_layernorm.weight"] = torch.ones(hidden)
        weights[attention + "q_proj.weight"] = matrix(heads * config.head_dim, hidden, scale)
        weights[attention + "k_proj.weight"] = matrix(rows, hidden, scale)
        weights[attention + "v_proj.weight"] = matrix(rows, hidden, 1)
        weights[attention + "o_proj.weight"] = matrix(hidden, heads * config.head_dim, 0.1 * scale)
        weights[mlp + "gate_proj.weight"] = matrix(config.intermediate_size, hidden, 1)
        weights[mlp + "up_proj.weight"] = matrix(config.intermediate_size, hidden, 1)
        weights[mlp + "down_proj.weight"] = matrix(hidden, config.intermediate_size, 0.1 * scale)
        if config.sparse.has_importance:
            weights[attention + "A"] = torch.ones(groups)
            weights[attention + "delta.weight"] = torch.zeros(groups, rows)
    weights["model.norm.weight"] = torch.ones(hidden)
    return weights


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal by Newton-Schulz iterations; matrices of one shape share a step."""

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for parameter in group["params"]:
                by_shape.setdefault(parameter.shape, []).append(parameter)
            for (rows, columns), parameters in by_shape.items():
                for parameter in parameters:
                    self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                gradients = [parameter.grad for parameter in parameters]
                averages = [self.state[parameter]["momentum"] for parameter in parameters]
                torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, averages, group["momentum"])
                update = orthogonal(torch.stack(ahead))
                rate = group["lr"] * max(1, rows / columns) ** 0.5
                torch._foreach_add_(parameters, list(update.to(parameters[0].dtype).unbind()), alpha=-rate)


def orthogonal(matrices):
    """The nearest orthogonal matrices, roughly, by five quintic Newton-Schulz iterations (Jordan et al., Muon)."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.bfloat16()
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class TrainedModel(nosa.Model):
    """The model with compiled pieces and the fast attention; uncompiled, with the reference's attention."""

    def __init__(self, config, weights, compiled, masked=False):
        super().__init__(config, weights)
        compile = torch.compile if compiled else lambda function, **_: function
        self._core = FastAttention(compiled, masked) if compiled else nosa.attention
        self._inputs = compile(nosa.attention_inputs, dynamic=False)
        self._output = compile(nosa.layer_output, dynamic=False)
        self._losses = compile(losses, dynamic=False)

    def hidden(self, tokens, core=None, trace=None):
        rope = nosa.rope_table(torch.arange(tokens.shape[1], device=tokens.device), self.config)
        x = F.embedding(tokens, self.weights["model.embed_tokens.weight"])
        for n in range(self.config.num_hidden_layers):
            layer = self.layer(n)
            q, k, v, cis = self._inputs(x, layer, rope, self.config)
            record = {"q": q, "k": k, "v": v, "cis": cis}
            out = self._core(q, k, v, cis, self.config.sparse, record if trace is not None else None)
            x = self._output(x, out, layer, self.config)
            if trace is not None:
                trace.append(record)
        return nosa.rms_norm(x, self.weights["model.norm.weight"], self.config.rms_norm_eps)

    def set_dense(self, dense):
        if isinstance(self._core, FastAttention):
            self._core.dense = dense

    def losses(self, tokens, targets):
        """Cross entropy of every target, and whether it is the likeliest token: (B, S) each."""
        return self._losses(self.hidden(tokens), self.weights["model.embed_tokens.weight"], targets)


def losses(hidden, head, targets):
    logits = nosa.linear(hidden, head).float()
    entropy = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return entropy, logits.argmax(-1) == targets


def mean(values, mask):
    return (values * mask).sum() / mask.sum().clamp(min=1)


def evaluation_batches(split, length, rows, count, seed=2):
    """Held-out questions as (tokens, marks, tasks), padded to `length`, in batches of `rows`."""
    chat, rng, batches = Chat(split), random.Random(f"training/{seed}/{length}"), []
    for first in range(0, count, rows):
        tasks = [TASKS[n % len(TASKS)] for n in range(first, first + rows)]
        tokens = torch.zeros(rows, length + 1, dtype=torch.int64)
        marks = torch.zeros(rows, length + 1, dtype=torch.int8)
        for n, task in enumerate(tasks):
            row = evaluation_row(split, chat, rng, task, length, rng.random() * 0.9)
            prompt, answer = chat.prompt(row), row.answer + chat.end
            tokens[n, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
            marks[n, len(prompt) : len(prompt) + len(answer)] = ANSWER
        batches.append((tokens, marks, tasks))
    return batches


class Stage(NamedTuple):
    """LENGTH:STEPS[:dense]: steps of a length; in a dense stage every mode attends all blocks."""

    length: int
    steps: int
    dense: bool

    @staticmethod
    def parse(text):
        length, steps, *dense = text.split(":")
        if dense not in ([], ["dense"]):
            raise ValueError(f"stage {text!r} is not LENGTH:STEPS or LENGTH:STEPS:dense")
        return Stage(int(length), int(steps), bool(dense))


class Run:
    """One training run: the model, its optimizers and where it stands."""

    def __init__(self, options):
        self.options = options
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        sparse = replace(CONFIG.sparse.changed(options.sparse), mode=options.mode)
        self.config = replace(CONFIG, sparse=sparse)
        if options.small:
            small = dict(hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4)
            self.config = replace(self.config, **small)
        weights = initial_weights(self.config, options.seed)
        self.weights = {name: torch.nn.Parameter(weight.to(self.device)) for name, weight in weights.items()}
        self.model = TrainedModel(self.config, self.weights, self.device == "cuda", options.masked)
        self.optimizers = self._optimizers()
        self.stages = [Stage.parse(stage) for stage in options.stages.split(",")]
        self.step, self.tokens = 0, 0
        self.held_out = Split(options.data, "held_out")
        self.started = self.saved = time.time()

    def _optimizers(self):
        matrices = [w for name, w in self.weights.items() if w.ndim == 2 and "embed" not in name and "delta" not in name]
        chosen = set(map(id, matrices))
        others = [weight for weight in self.weights.values() if id(weight) not in chosen]
        adam = torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0, fused=self.device == "cuda")
        return [adam, Muon(matrices, lr=MUON_RATE)]

    def rate(self):
        """The share of the full learning rate: linear warmup, constant, linear decay to a twentieth."""
        total = sum(stage.steps for stage in self.stages)
        left = (total - self.step) / max(1, DECAY * total)
        return min(1.0, (self.step + 1) / WARMUP, max(0.05, left))

    def train(self):
        done = 0
        for number, stage in enumerate(self.stages, 1):
            if self.step < done + stage.steps:
                self.model.set_dense(stage.dense)
                if not self.stage(stage.length, done, stage.steps):
                    return
                shutil.copy(self.options.out / "state.pt", self.options.out / f"stage-{number}.pt")
            done += stage.steps
        self.export()

    def stage(self, length, done, steps):
        """Trains up to step done + steps; false if the time is over."""
        rows = max(1, self.options.tokens // length)
        batches = evaluation_batches(self.held_out, length, rows, min(max(rows, 40), 128))
        data = Sequences(self.options.data, length, rows, self.options.seed)
        order = range(self.step, done + steps)
        loader = torch.utils.data.DataLoader(
            data, batch_size=None, sampler=order, num_workers=self.options.workers,
            prefetch_factor=8 if self.options.workers else None, pin_memory=self.device == "cuda",
        )  # fmt: skip
        began = clock = time.time()
        since, sums = self.step, torch.zeros(2, device=self.device)
        for tokens, marks in loader:
            sums += self.update(tokens, marks)
            self.step += 1
            self.tokens += rows * length
            if self.step == since + 1 and since == order.start:
                torch.cuda.synchronize() if self.device == "cuda" else None
                print(f"{length} tokens: first step {time.time() - began:.1f} s", flush=True)
                clock, since, sums = time.time(), self.step, torch.zeros(2, device=self.device)
            elif self.step % self.options.report == 0 or self.step == done + steps:
                text, answer = (sums / (self.step - since)).tolist()
                speed = (self.step - since) * rows * length / (time.time() - clock)
                exact = self.evaluate(batches)
                self.report(length, text, answer, speed, exact)
                clock, since, sums = time.time(), self.step, torch.zeros(2, device=self.device)
            if self.over():
                self.save("state.pt")
                print(f"time is over after step {self.step}; go on with --resume", flush=True)
                return self.step == done + steps
            if time.time() - self.saved > SAVE_EVERY:
                self.save("state.pt")
        self.save("state.pt")
        return True

    def over(self):
        return self.options.minutes and time.time() - self.started > 60 * self.options.minutes

    def autocast(self):
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")

    def forward(self, tokens, marks):
        """Entropies, hits and marks of the targets."""
        tokens = tokens.to(self.device, torch.int64, non_blocking=True)
        marks = marks.to(self.device, non_blocking=True)[:, 1:]
        with self.autocast():
            entropy, hits = self.model.losses(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
        return entropy, hits, marks

    def update(self, tokens, marks):
        entropy, _, marks = self.forward(tokens, marks)
        text, answer = mean(entropy, marks == TEXT), mean(entropy, marks == ANSWER)
        (text + self.options.answer_weight * answer).backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        for optimizer, rate in zip(self.optimizers, (ADAM_RATE, MUON_RATE)):
            optimizer.param_groups[0]["lr"] = rate * self.rate()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return torch.stack((text, answer)).detach()

    def evaluate(self, batches):
        """Exact match by task. The graph is built and dropped: without it everything would compile a second time."""
        right, asked = dict.fromkeys(TASKS, 0), dict.fromkeys(TASKS, 0)
        for tokens, marks, tasks in batches:
            _, hits, marks = self.forward(tokens, marks)
            for task, exact in zip(tasks, (hits | (marks == IGNORED)).all(1).tolist()):
                right[task] += exact
                asked[task] += 1
        return {task: right[task] / max(1, asked[task]) for task in TASKS}

    def report(self, length, text, answer, speed, exact):
        line = dict(step=self.step, length=length, text=round(text, 4), answer=round(answer, 4), tokens_s=round(speed))
        line.update(seconds=round(time.time() - self.started), exact={task: round(e, 2) for task, e in exact.items()})
        print(json.dumps(line), flush=True)
        with open(self.options.out / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def save(self, name):
        state = {"weights": {key: weight.detach() for key, weight in self.weights.items()}}
        state.update(optimizers=[o.state_dict() for o in self.optimizers], step=self.step, tokens=self.tokens)
        path = self.options.out / name
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)
        self.saved = time.time()

    def load(self, path):
        """Goes on from a state, or from a checkpoint's weights alone, as if it had done --from-step steps."""
        if path.is_dir():
            loaded = nosa.Model.load(path, device=self.device).weights
            state = {"weights": loaded, "optimizers": [], "step": self.options.from_step, "tokens": 0}
        else:
            state = torch.load(path, map_location=self.device, weights_only=True)
        if state["weights"].keys() != self.weights.keys():
            raise ValueError(f"{path} is of a mode with other weights than {self.options.mode}")
        for name, weight in state["weights"].items():
            self.weights[name].data.copy_(weight)
        for optimizer, values in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(values)
        self.step, self.tokens = state["step"], state["tokens"]

    def export(self):
        """The checkpoint in Hugging Face's layout, BF16."""
        folder = self.options.out / "model"
        folder.mkdir(exist_ok=True)
        tensors = {name: weight.detach().to("cpu", torch.bfloat16) for name, weight in self.weights.items()}
        save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
        generation = {"bos_token_id": 1, "eos_token_id": [2, 4], "do_sample": False}
        for name, values in (("config.json", self.config.to_json()), ("generation_config.json", generation)):
            (folder / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(self.options.data / "tokenizer" / name, folder / name)
        print(f"{folder}: {sum(t.numel() for t in tensors.values()):,} parameters after {self.tokens:,} tokens", flush=True)


def options():
    parser = argparse.ArgumentParser(description="Trains one attention mode.")
    parser.add_argument("--mode", choices=nosa.MODES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stages", default=STAGES, help="LENGTH:STEPS[:dense],...")
    parser.add_argument("--tokens", type=int, default=TOKENS_A_STEP, help="tokens a step")
    parser.add_argument("--init", type=Path, help="state, or folder of a checkpoint, to begin with")
    parser.add_argument("--from-step", type=int, default=0, help="steps that a checkpoint given as --init stands for")
    parser.add_argument("--resume", action="store_true", help="go on with OUT/state.pt where there is one")
    parser.add_argument("--minutes", type=float, default=0, help="stop after about this time; 0: never")
    parser.add_argument("--report", type=int, default=100, help="steps between lines of the log")
    parser.add_argument("--answer-weight", type=float, default=2.0, help="weight of the answers' mean loss beside the text's")
    parser.add_argument("--sparse", default="", help="other sizes of the selection: topk=16,topk_q=8,...")
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="20 steps a stage")
    parser.add_argument("--masked", action="store_true", help="attention without FlexAttention")
    parser.add_argument("--small", action="store_true", help="a model small enough to try on a CPU")
    return parser.parse_args()


def main():
    given = options()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.recompile_limit = 64
    if given.smoke:
        given.stages = ",".join(re.sub(":[0-9]+", ":20", stage, count=1) for stage in given.stages.split(","))
        given.report = 10
    run = Run(given)
    if given.resume and (given.out / "state.pt").exists():
        run.load(given.out / "state.pt")
    elif given.init:
        run.load(given.init)
    run.train()


if __name__ == "__main__":
    main()
