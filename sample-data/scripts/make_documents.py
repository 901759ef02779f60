"""Writes the sample documents: make_documents.py SOURCES MODEL documents.parquet. Prints a table with token counts.

Every document is a part of a work with facts planted between its sentences, and has a question about them. Their wording
is that of training/data.py, with names and numbers of its held-out side.
"""

import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sources import Sources

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))
from data import LENGTHS, Chat, Side, question_and_distractors, render, row_of  # noqa: E402

MIX = ("single", "multikey", "multivalue", "multiquery", "variables")  # tasks of the documents, in turn
SHORTEST, LONGEST = 3_300, 13_000  # tokens of a document, its facts included
SEED = 1
LINE = "Ċ"  # the end of a line in the tokenizer's alphabet


def between(text, start, end):
    """The part from the line `start` to before the line `end`; each may occur once only."""
    text = "\n" + text
    for line in (start, end):
        if text.count(f"\n{line}\n") != 1:
            raise ValueError(f"the line {line!r} occurs {text.count(chr(10) + line + chr(10))} times, not once")
    return text[text.index(f"\n{start}\n") + 1 : text.index(f"\n{end}\n")].strip()


def passages(sources):
    """Rows of id, title, source (Debian package) and text."""
    articles = sources.constitution().split("\nAmendments\n")[0]
    opticks = sources.opticks()
    queries = opticks[opticks.index("\nQuery 1. ") + 1 : opticks.index("\nQu. 15. ")].strip()
    act = between(sources.as_you_like_it(), "ACT IV", "ACT V")
    emma = sources.austen("Emma").split("VOLUME II\n")[0]

    def novel(title, start, end):
        return between(sources.austen(title), start, end)

    return [
        ("us-constitution", "The Constitution of the United States", "miscfiles", articles.strip()),
        ("alice", "Lewis Carroll: Alice's Adventures in Wonderland, chapter 1", "snappy (source)",
         between(sources.alice(), "CHAPTER I", "CHAPTER II").rstrip("* \n")),
        ("as-you-like-it", "William Shakespeare: As You Like It, act 4, scene 1", "snappy (source)",
         between(act, "Scene I. The forest.", "Scene II. The forest.")),
        ("opticks", "Isaac Newton: Opticks, queries 1 to 14", "golang-1.19-src", queries),
        ("jargon-file", "The Jargon File 4.4.7, chapter 5", "jargon-text", sources.jargon_chapters()[5].strip()),
        ("ecclesiastes", "Ecclesiastes, King James Version", "bible-kjv-text",
         sources.bible("Ecclesiastes1:1-12:14").strip()),
        ("esther", "Esther, King James Version, chapters 6 to 10", "bible-kjv-text",
         sources.bible("Esther6:1-10:3").strip()),
        ("daniel-1", "Daniel, King James Version, chapters 1 to 6", "bible-kjv-text",
         sources.bible("Daniel1:1-6:28").strip()),
        ("daniel-7", "Daniel, King James Version, chapters 7 to 12", "bible-kjv-text",
         sources.bible("Daniel7:1-12:13").strip()),
        ("emma", "Jane Austen: Emma, volume 1, chapter 7", "r-cran-janeaustenr",
         between(emma, "CHAPTER VII", "CHAPTER VIII")),
        ("northanger-abbey", "Jane Austen: Northanger Abbey, chapter 2", "r-cran-janeaustenr",
         novel("Northanger Abbey", "CHAPTER 2", "CHAPTER 3")),
        ("pride-and-prejudice", "Jane Austen: Pride and Prejudice, chapter 6", "r-cran-janeaustenr",
         novel("Pride and Prejudice", "Chapter 6", "Chapter 7")),
    ]


class Planter:
    """Plants facts in a passage and asks about them."""

    def __init__(self, tokenizer):
        self.side = Side(tokenizer, "held_out")
        self.chat = Chat(self.side)
        self.template = (ROOT / "sample-data" / "prompts" / "question.txt").read_text(encoding="utf-8").removesuffix("\n")

    def row(self, name, text, task, depth):
        """The shortest context that holds it, and the row."""
        passage = self.side.encode(text)
        places = self._places(passage)
        for context in LENGTHS:
            rng = random.Random(f"sample/{SEED}/{name}")
            row = row_of(rng, passage, places, *question_and_distractors(self.side, rng, task, context), depth)
            if row is None:
                raise ValueError(f"{name} has {len(places)} places for facts, too few for {task} at {context} tokens")
            if len(self.chat.prompt(row)) + len(row.answer) < context:
                return context, row
        raise ValueError(f"{name} is longer than {LENGTHS[-1]} tokens")

    def texts(self, name, row):
        """Document, question and answer as text; the prompt that is made of them has the row's tokens."""
        parts = (row.document, row.question, row.answer)
        document, question, answer = (self.side.tokenizer.decode(part, skip_special_tokens=False) for part in parts)
        prompt = render(document, question)
        if f"user\n{self.template.format(text=document, question=question)}<|im_end|>" not in prompt:
            raise ValueError("prompts/question.txt is not the prompt of training/data.py")
        if self.side.tokenizer.encode(prompt, add_special_tokens=False).ids != self.chat.prompt(row):
            raise ValueError(f"the text of {name} does not come back as the same tokens")
        return document, question, answer

    def _places(self, passage):
        """Where a sentence ends: before the next one, at the end of a line and at the end of all."""
        tokens = np.array(passage)
        pieces = [self.side.tokenizer.id_to_token(token) for token in passage] + [LINE]
        ends = [n for n in self.side.sentence_ends(tokens).tolist() if pieces[n].startswith(LINE)]
        return sorted(set(self.side.sentence_starts(tokens).tolist() + ends))


def main():
    folder, model, output = sys.argv[1:]
    planter = Planter(Path(model) / "tokenizer.json")
    sources = passages(Sources(folder))
    rows, total = [], 0
    for n, (name, title, source, text) in enumerate(sources):
        task = MIX[n % len(MIX)]
        # In steps of 5, so that each task has early and late facts.
        depth = (5 * n % len(sources) + 0.5) / len(sources)
        context, row = planter.row(name, text, task, depth)
        tokens = len(row.document)
        if not SHORTEST <= tokens <= LONGEST:
            raise ValueError(f"{name} has {tokens} tokens, not {SHORTEST} to {LONGEST}")
        document, question, answer = planter.texts(name, row)
        rows.append((name, title, source, document, task, context, row.depth, question, answer))
        print(f"| {name} | {title} | {source} | {tokens:,} | {task} |")
        total += tokens
    print(f"{len(rows)} documents, {total:,} tokens")
    names = ("id", "title", "source", "text", "task", "context", "depth", "question", "answer")
    pq.write_table(pa.table(dict(zip(names, zip(*rows)))), output, compression="zstd")


if __name__ == "__main__":
    main()
