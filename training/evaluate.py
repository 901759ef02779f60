"""Evaluates a checkpoint: evaluate.py MODEL --data CORPUS --questions FOLDER --out FOLDER.

OUT/result.json has exact match by task, length and depth, perplexity of held-out text and turnover by layer; OUT/exact.png
is the heat map of exact match; OUT/right.jsonl says of every question whether it was answered right.

Exact match means that greedy decoding gives the answer and then ends. It is computed in one forward pass over prompt and
answer: greedy decoding gives exactly this answer if every token of it is the likeliest after the ones before it. With
--answers, N questions of each length are really decoded, by the reference in F32, into OUT/answers.jsonl.
"""

import argparse
import json
import math
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

import nosa
from data import TASKS, render
from train import TrainedModel

BATCH_TOKENS = 65536
END = "<|im_end|>"


class Evaluation:
    """A checkpoint, its tokenizer and where it runs."""

    def __init__(self, folder, masked=False, sizes=""):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded = nosa.Model.load(folder, device=self.device)
        loaded.config = replace(loaded.config, sparse=loaded.config.sparse.changed(sizes))
        self.model = TrainedModel(loaded.config, loaded.weights, self.device == "cuda", masked)
        self.reference = loaded
        self.sparse = loaded.config.sparse
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def autocast(self):
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")

    def losses(self, tokens):
        """Entropy and hit of every token of (B, S + 1) but the first."""
        tokens = tokens.to(self.device)
        with self.autocast():
            return self.model.losses(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())

    def right(self, rows):
        """Whether each question of one length is answered right."""
        context, results = rows[0]["context"], []
        size = min(len(rows), max(1, BATCH_TOKENS // context))
        for first in range(0, len(rows), size):
            tokens = torch.zeros(size, context + 1, dtype=torch.int64)
            asked = torch.zeros(size, context, dtype=torch.bool)
            for n, row in enumerate(rows[first : first + size]):
                prompt, answer = self.encode(render(row["document"], row["question"])), self.encode(row["answer"] + END)
                tokens[n, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
                asked[n, len(prompt) - 1 : len(prompt) + len(answer) - 1] = True
            _, hits = self.losses(tokens)
            results += (hits | ~asked.to(self.device)).all(1).tolist()[: len(rows) - first]
        return results

    def perplexity(self, tokens, length, most):
        """Of whole pieces of `length` tokens, at most `most` of them."""
        count = min(most, len(tokens) // (length + 1))
        pieces = torch.from_numpy(tokens[: count * (length + 1)].astype(np.int64)).view(count, -1)
        size = min(count, max(1, BATCH_TOKENS // length))
        whole = pieces[: count // size * size].split(size)
        total = sum(self.losses(piece)[0].double().mean().item() for piece in whole)
        return math.exp(total / len(whole))

    def turnover(self, tokens, length, sequences, steps, greedy):
        """Blocks brought in per KV head and step: mean and 95th percentile, by layer and over all."""
        size = length + steps
        starts = np.linspace(0, len(tokens) - size, sequences).astype(int)
        texts = torch.from_numpy(np.stack([tokens[s : s + size] for s in starts]).astype(np.int64)).to(self.device)
        with self.autocast():
            decoder = nosa.Decoder(self.model, texts[:, :length], steps)
        counts = []
        for t in range(steps):
            token = decoder.logits.argmax(-1) if greedy else texts[:, length + t]
            counts.append(torch.stack(decoder.step(token)[1]))
        counts = torch.stack(counts).float()  # steps, layers, sequences, heads
        layers = [summary(counts[:, n]) for n in range(counts.shape[1])]
        return {"all": summary(counts), "layers": layers, "sequences": sequences, "steps": steps, "context": length}

    def answer(self, row, most=64):
        """The greedy answer, decoded by the reference."""
        prompt = torch.tensor([self.encode(render(row["document"], row["question"]))], device=self.device)
        decoder, ids = nosa.Decoder(self.reference, prompt, most), []
        while len(ids) < most:
            token = decoder.logits.argmax(-1)
            if token.item() in self.reference.config.eos_token_id:
                break
            ids.append(token.item())
            decoder.step(token)
        return self.tokenizer.decode(ids)


def summary(counts):
    values = counts.flatten().cpu().numpy()
    return {"mean": round(float(values.mean()), 3), "p95": float(np.percentile(values, 95))}


def shares(rows, right, key):
    """Share of right answers by key(row)."""
    grouped = defaultdict(list)
    for row, good in zip(rows, right):
        grouped[key(row)].append(good)
    return {name: round(sum(values) / len(values), 4) for name, values in sorted(grouped.items())}


def depth_bin(row):
    return min(9, int(row["depth"] * 10))


def heat_map(path, by_length, title):
    """Exact match over depth (down) and length (across)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lengths = sorted(by_length)
    grid = np.array([[by_length[length].get(depth, np.nan) for length in lengths] for depth in range(10)])
    figure, axes = pyplot.subplots(figsize=(1.6 + 1.1 * len(lengths), 5))
    image = axes.imshow(grid, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        color = "white" if value < 0.6 else "black"
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
    axes.set_yticks(range(10), [f"{10 * depth} to {10 * depth + 10} %" for depth in range(10)])
    axes.set_xlabel("prompt and answer, tokens")
    axes.set_ylabel("depth of the first fact")
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, label="exact match")
    figure.savefig(path, dpi=120, bbox_inches="tight")


def read_questions(folder):
    """Rows by length."""
    rows = defaultdict(list)
    for path in sorted(folder.glob("questions-*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            if row["task"] not in TASKS or not row["answer"]:
                raise ValueError(f"{path}, line {number}: unknown task or no answer")
            rows[row["context"]].append(row)
    if not rows:
        raise ValueError(f"no questions-*.jsonl in {folder}")
    return dict(sorted(rows.items()))


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description="Evaluates a checkpoint.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--questions", type=Path, required=True, help="folder of questions-*.jsonl")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="questions of each length; 0: all")
    parser.add_argument("--pieces", type=int, default=48, help="pieces of text of each length for the perplexity")
    parser.add_argument("--answers", type=int, default=0, help="questions of each length to decode for real")
    parser.add_argument("--answers-only", action="store_true", help="decode the answers and measure nothing else")
    parser.add_argument("--turnover-at", type=int, default=8192, help="tokens before the decoding; a multiple of 128")
    parser.add_argument("--steps", type=int, default=128, help="decode steps for the turnover")
    parser.add_argument("--sparse", default="", help="other sizes of the selection: kernel_size=16,kernel_stride=8,...")
    parser.add_argument("--masked", action="store_true", help="attention without FlexAttention")
    parser.add_argument("--sequences", type=int, default=8, help="documents for the turnover")
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.recompile_limit = 64
    options.out.mkdir(parents=True, exist_ok=True)
    evaluation, started = Evaluation(options.model, options.masked, options.sparse), time.time()
    questions = read_questions(options.questions)
    if not options.answers_only:
        measure(evaluation, questions, options, started)
    if options.answers:
        decode_answers(evaluation, questions, options)


def measure(evaluation, questions, options, started):
    """Exact match, perplexity and turnover, into result.json and the heat map."""
    result = {"mode": evaluation.sparse.mode, "exact": {}, "by_depth": {}, "perplexity": {}, "turnover": {}}
    text = np.load(options.data / "held_out.npy")
    with open(options.out / "right.jsonl", "w", encoding="utf-8") as file:
        for context, rows in questions.items():
            rows = rows[: options.limit or None]
            right = evaluation.right(rows)
            tasks = shares(rows, right, lambda row: row["task"])
            result["exact"][context] = {**tasks, "all": round(sum(right) / len(right), 4), "questions": len(rows)}
            result["by_depth"][context] = shares(rows, right, depth_bin)
            result["perplexity"][context] = round(evaluation.perplexity(text, context, options.pieces), 3)
            print(f"{context} tokens: {result['exact'][context]}, perplexity {result['perplexity'][context]}", flush=True)
            for row, good in zip(rows, right):
                file.write(json.dumps({"id": row["id"], "right": good}) + "\n")
    heat_map(options.out / "exact.png", result["by_depth"], f"{evaluation.sparse.mode}: exact match, %")
    if evaluation.sparse.mode != "full":
        for name, greedy in (("greedy", True), ("text", False)):
            values = evaluation.turnover(text, options.turnover_at, options.sequences, options.steps, greedy)
            result["turnover"][name] = values
            print(f"turnover, {name}: {values['all']}", flush=True)
    result["seconds"] = round(time.time() - started)
    (options.out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def decode_answers(evaluation, questions, options):
    with open(options.out / "answers.jsonl", "w", encoding="utf-8") as file:
        for rows in questions.values():
            for row in rows[: options.answers]:
                answer = evaluation.answer(row)
                values = {"id": row["id"], "generation": answer, "right": answer == row["answer"]}
                file.write(json.dumps(values, ensure_ascii=False) + "\n")
                file.flush()


if __name__ == "__main__":
    main()
