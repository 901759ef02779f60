"""Training sequences and held-out question sets: real text with planted facts, and questions about them.

A sequence is what the job's prompt renders: one user message of the document and a question, the answer, and in
training further questions as further turns. Tasks follow the RULER benchmark: `single` asks for the number of the only planted
key, `multikey` for one among many keys, `multivalue` for the three numbers of one key, `multiquery` for the numbers of
three keys, `variables` for the three places along a chain of two copies.

Everything is put together from encoded pieces that begin at a space or a line, which a byte-level BPE never merges
across; so a sequence equals the encoding of its text. `data.py CORPUS OUT` writes the question sets as JSON lines.
"""

import argparse
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

TASKS = ("single", "multikey", "multivalue", "multiquery", "variables")
LENGTHS = (4096, 8192, 16384)
DEPTHS = tuple((2 * i + 1) / 20 for i in range(10))
TEXT, ANSWER, IGNORED = 1, 2, 0  # what the loss does with a token

# Words of the held-out names, an adjective and a noun each. No training name has such a pair, though it may have one of
# the words: a word that was never part of a name is told less well from others, which is not what is asked here.
HELD_OUT_FIRST = (
    "small large bright strange quiet humble bitter bold early clean friendly cruel angry serious infinite silver golden "
    "old broken hidden"
).split()
HELD_OUT_SECOND = (
    "sheep island market tent shield coast lion corn judge shepherd stream castle vessel army crown wife camp flock "
    "prison dream vine beast sister uncle mountain lantern harbour gate"
).split()
FACTS_SHARE, TURNS_SHARE = 0.35, 0.4  # of a training sequence, at most
ORDINALS = ("first", "second", "third")


@dataclass
class Question:
    """A question and its answer as tokens, with the facts, as tokens, that have to be planted in this order."""

    task: str
    facts: list
    question: list
    answer: list


@dataclass
class Row:
    """One user message and its answer, as tokens."""

    document: list
    question: list
    answer: list
    depth: float = 0.0


class Side:
    """The names and numbers of one side, `train` or `held_out`. The other side has none of them."""

    def __init__(self, tokenizer, name):
        self.name = name
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.words = self._words()
        held_out = ([self._single(word) for word in words] for words in (HELD_OUT_FIRST, HELD_OUT_SECOND))
        self.pair = [[token for token in tokens if token is not None] for tokens in held_out]
        self.special = {token: self.tokenizer.token_to_id(token) for token in ("<s>", "<|im_start|>", "<|im_end|>")}
        self._pieces = {}

    def encode(self, piece):
        if piece not in self._pieces:
            self._pieces[piece] = self.tokenizer.encode(piece, add_special_tokens=False).ids
        return self._pieces[piece]

    def number(self, rng):
        """Five digits; the multiples of seven are held out, so that both sides have the same digits everywhere."""
        while True:
            value = rng.randrange(10000, 100000)
            if (value % 7 == 0) == (self.name == "held_out"):
                return [token for digit in str(value) for token in self.encode(digit)]

    def names(self, rng, count):
        """Different names, such as " silver mountain": held-out ones of two words, those of training of one to three.

        The words of one document in training come from a pool, mostly a small one: then names share words, as the
        held-out ones do, and a name can only be told by all of its words.
        """
        names, every = set(), self.words
        pool = every if self.name == "held_out" else rng.sample(every, rng.choice((16, 32, 64, len(every))))
        while len(names) < count:
            if self.name == "held_out":
                names.add(tuple(map(rng.choice, self.pair)))
            else:
                name = tuple(rng.choice(pool) for _ in range(rng.choice((1, 2, 2, 2, 3))))
                if not self.is_held_out(name):
                    names.add(name)
        return [list(name) for name in sorted(names, key=lambda name: rng.random())]

    def is_held_out(self, name):
        """Whether there is a held-out name in it."""
        first, second = self.pair
        return any(a in first and b in second for a, b in zip(name, name[1:]))

    def _words(self):
        """The words that are one token each: so many that no model learns the names of training one by one."""
        pieces = map(self.tokenizer.id_to_token, range(self.tokenizer.get_vocab_size()))
        words = [self._single(piece[1:]) for piece in pieces if re.fullmatch("Ġ[a-z]{3,}", piece)]
        return sorted(set(words) - {None})

    def _single(self, word):
        """The word's token behind a space, or None where it has several."""
        ids = self.tokenizer.encode(f" {word}", add_special_tokens=False).ids
        return ids[0] if len(ids) == 1 else None

    def sentence_ends(self, tokens):
        """Positions behind the tokens that end a sentence, by id of the token and of the one before."""
        pieces = self._all_pieces()
        ends = np.array([piece in (".", "?", "!", '."', '?"', '!"', ".)") for piece in pieces])
        titles = ("Mr", "Mrs", "Dr", "St", "Messrs")
        short = np.array([piece.strip("Ġ") in titles or len(piece.strip("Ġ")) < 2 for piece in pieces])
        return np.flatnonzero(~short[tokens[:-1]] & ends[tokens[1:]]) + 2

    def sentence_starts(self, tokens):
        """Positions of tokens that begin a sentence after a space, another sentence being before it."""
        pieces = self._all_pieces()
        capital = np.array([piece[0] == "Ġ" and piece[1:2].isupper() for piece in pieces])
        bare = np.array([self.tokenizer.token_to_id(piece.lstrip("Ġ")) is not None for piece in pieces])
        at = self.sentence_ends(tokens[:-1])
        return at[capital[tokens[at]] & bare[tokens[at]]]

    def _all_pieces(self):
        return [self.tokenizer.id_to_token(i) for i in range(self.tokenizer.get_vocab_size())]


class Split(Side):
    """One side of the corpus: its text besides."""

    def __init__(self, corpus, name):
        super().__init__(Path(corpus) / "tokenizer" / "tokenizer.json", name)
        self.tokens = np.load(Path(corpus) / f"{name}.npy")
        self.starts = self.sentence_starts(self.tokens)

    def passage(self, rng, length):
        """Tokens of about `length` (at most) from the start of a sentence to the end of one, and the starts within."""
        while True:
            at = rng.randrange(len(self.starts) - 1)
            first = int(self.starts[at])
            last = int(np.searchsorted(self.starts, first + length, side="right")) - 1
            if last > at + 1 and first + length - int(self.starts[last]) < 400:
                tokens = self.tokens[first : self.starts[last]].tolist()
                tokens[0] = self.tokenizer.token_to_id(self.tokenizer.id_to_token(tokens[0]).lstrip("Ġ"))
                return tokens, (self.starts[at + 1 : last + 1] - first).tolist()


class Questions:
    """Makes the facts and questions of one document; all of its names differ."""

    def __init__(self, split, rng, names):
        self.split, self.rng = split, rng
        self.free = split.names(rng, names)

    def key(self):
        """A fact about a new key: the key, its number and the fact."""
        name, number = self.free.pop(), self.split.number(self.rng)
        return name, number, self._fact(" The special magic number for the", name, " is", number)

    def single(self, task="single"):
        return self.about(*self.key(), task)

    def about(self, name, number, fact, task="multikey"):
        """About one fact that key() made."""
        return Question(task, [fact], self._ask("What is the special magic number for the", name), number)

    def multivalue(self):
        name = self.free.pop()
        numbers = [self.split.number(self.rng) for _ in ORDINALS]
        facts = [
            self._fact(f" The {ordinal} special magic number for the", name, " is", number)
            for ordinal, number in zip(ORDINALS, numbers)
        ]
        ask = self._ask("What are the first, the second and the third special magic number for the", name)
        return Question("multivalue", facts, ask, self._list(numbers))

    def multiquery(self, keys):
        """About three facts that key() made."""
        encode = self.split.encode
        (a, one, first), (b, two, second), (c, three, third) = keys
        names = a + encode(", the") + b + encode(" and the") + c
        ask = self._ask("What are the special magic numbers for the", names)
        return Question("multiquery", [first, second, third], ask, self._list([one, two, three]))

    def variables(self):
        a, b, c = (self.free.pop() for _ in range(3))
        encode, number = self.split.encode, self.split.number(self.rng)
        facts = [
            encode(" The number") + encode(" ") + number + encode(" is stored in the") + a + encode("."),
            encode(" The") + a + encode(" is copied into the") + b + encode("."),
            encode(" The") + b + encode(" is copied into the") + c + encode("."),
        ]
        ask = encode("Where is the number") + encode(" ") + number + encode(" stored, and where is it copied?")
        return Question("variables", facts, ask, encode("the") + a + encode(", the") + b + encode(", the") + c)

    def _fact(self, head, name, verb, number):
        encode = self.split.encode
        return encode(head) + name + encode(verb) + encode(" ") + number + encode(".")

    def _ask(self, head, name):
        return self.split.encode(head) + name + self.split.encode("?")

    def _list(self, numbers):
        answer = list(numbers[0])
        for number in numbers[1:]:
            answer += self.split.encode(",") + self.split.encode(" ") + number
        return answer


def plant(passage, places, facts):
    """The passage with fact n before the sentence at places[n], ascending, and the mark of every token."""
    document, marks, done = [], [], 0
    for place, fact in zip(places, facts):
        document += passage[done:place] + fact
        marks += [TEXT] * (place - done) + [IGNORED] * len(fact)
        done = place
    document += passage[done:]
    return document, marks + [TEXT] * (len(passage) - done)


def tokens_of(groups):
    return sum(len(fact) for facts in groups for fact in facts)


def shuffled(rng, groups):
    """All facts in a random order that keeps the order within each group."""
    order = [n for n, facts in enumerate(groups) for _ in facts]
    rng.shuffle(order)
    rest = [iter(facts) for facts in groups]
    return [next(rest[n]) for n in order]


class Chat:
    """The chat template, in tokens."""

    def __init__(self, split):
        encode, special = split.encode, split.special
        self.user = [special["<|im_start|>"]] + encode("user\n")
        self.assistant = [special["<|im_end|>"]] + encode("\n") + [special["<|im_start|>"]] + encode("assistant\n")
        self.bos, self.end, self.line = [special["<s>"]], [special["<|im_end|>"]], encode("\n")
        self.gap = encode("\n") + encode("\n")

    def prompt(self, row):
        return self.bos + self.user + row.document + self.gap + row.question + self.assistant

    def overhead(self):
        return len(self.bos + self.user + self.gap + self.assistant + self.end)


class Sequences(torch.utils.data.Dataset):
    """Batches of training sequences: item n is (tokens, marks), both (rows, length + 1), the same for the same seed."""

    def __init__(self, corpus, length, rows, seed, split="train"):
        self.corpus, self.length, self.rows, self.seed, self.name = corpus, length, rows, seed, split
        self.split = None

    def __len__(self):
        return 1 << 30

    def __getitem__(self, n):
        if self.split is None:  # once in every worker
            self.split = Split(self.corpus, self.name)
            self.chat = Chat(self.split)
        rng = random.Random(f"{self.seed}/{self.length}/{n}")
        rows = [self.sequence(rng) for _ in range(self.rows)]
        tokens, marks = zip(*rows)
        return torch.tensor(tokens, dtype=torch.int32), torch.tensor(marks, dtype=torch.int8)

    def sequence(self, rng):
        size = self.length + 1
        groups, turns = self._questions(rng)
        turn_tokens, turn_marks = self._turns(turns)
        room = size - tokens_of(groups) - len(turn_tokens) - len(self.chat.bos + self.chat.user + self.chat.gap)
        facts = shuffled(rng, groups)
        passage, starts = self.split.passage(rng, room)
        distinct = rng.sample if len(starts) >= len(facts) else rng.choices
        document, marks = plant(passage, sorted(distinct(starts, k=len(facts))), facts)
        head = self.chat.bos + self.chat.user
        tokens = head + document + self.chat.gap + turn_tokens
        marks = [IGNORED] * len(head) + marks + [IGNORED] * len(self.chat.gap) + turn_marks
        padding = size - len(tokens)
        return tokens + [0] * padding, marks + [IGNORED] * padding

    def _questions(self, rng):
        """Groups of facts, and the questions to ask: many, since every answer teaches retrieval."""
        most = 6 + min(self.length, 4096) // 64
        made = Questions(self.split, rng, 4 * most)
        count = max(rng.randint(1, most), rng.randint(1, most))
        questions, keys, groups, planted = [], [], [], 0
        while planted < count and tokens_of(groups) < FACTS_SHARE * self.length:
            kind = rng.random()
            if kind < 0.5:
                keys.append(made.key())
                groups.append([keys[-1][2]])
            else:
                questions.append(made.multivalue() if kind < 0.65 else made.variables())
                groups.append(questions[-1].facts)
            planted += len(groups[-1])
        rng.shuffle(keys)
        while keys:
            if len(keys) >= 3 and rng.random() < 0.25:
                questions.append(made.multiquery([keys.pop() for _ in range(3)]))
            else:
                name, number, fact = keys.pop()
                questions.append(made.about(name, number, fact))
        rng.shuffle(questions)
        return groups, questions

    def _turns(self, questions):
        """From the first question on, as many as TURNS_SHARE of the length holds; the document stands before it."""
        chat, tokens, marks = self.chat, [], []
        for n, turn in enumerate(questions):
            before = (chat.line + chat.user if n else []) + turn.question + chat.assistant
            after = turn.answer + chat.end
            if len(tokens) + len(before) + len(after) > TURNS_SHARE * self.length and n:
                break
            tokens += before + after
            marks += [IGNORED] * len(before) + [ANSWER] * len(after)
        return tokens, marks


def question_and_distractors(side, rng, task, context):
    """A question of the task, and facts of the same kind that it does not ask about."""
    made = Questions(side, rng, 200)
    keys = max(8, context // 256)
    others = [made.key() for _ in range({"single": 0, "multikey": keys, "multiquery": 5}.get(task, 3))]
    if task in ("single", "multikey"):
        asked = made.single(task)
    elif task == "multiquery":
        asked = made.multiquery([made.key() for _ in range(3)])
    else:
        asked = getattr(made, task)()
    distractors = [fact for _, _, fact in others]
    if task == "variables":
        other = made.variables()
        distractors = other.facts + made.variables().facts
    return asked, distractors


def row_of(rng, passage, starts, asked, distractors, depth):
    """The passage with all facts planted, the first one asked for near `depth`; None where it has too few sentences."""
    first = min(range(len(starts)), key=lambda n: abs(starts[n] - depth * len(passage)))
    later = len(starts) - first - 1
    if later < len(asked.facts) - 1 or len(starts) < len(asked.facts) + len(distractors):
        return None
    own = [first] + sorted(rng.sample(range(first + 1, len(starts)), len(asked.facts) - 1))
    rest = sorted(rng.sample(sorted(set(range(len(starts))) - set(own)), len(distractors)))
    placed = sorted(list(zip(own, asked.facts)) + list(zip(rest, distractors)))
    document, _ = plant(passage, [starts[n] for n, _ in placed], [fact for _, fact in placed])
    return Row(document, asked.question, asked.answer, round(starts[first] / len(passage), 3))


def evaluation_row(split, chat, rng, task, context, depth):
    """A row of at most `context` tokens, answer included, whose first fact lies near `depth` of the document."""
    asked, distractors = question_and_distractors(split, rng, task, context)
    planted = sum(map(len, distractors + asked.facts))
    room = context - planted - len(asked.question) - len(asked.answer) - chat.overhead()
    while True:
        row = row_of(rng, *split.passage(rng, room), asked, distractors, depth)
        if row:
            return row


def question_set(split, context, count, seed):
    """Rows as they are written: `count` questions, the tasks and depths in turn."""
    chat, rng = Chat(split), random.Random(f"questions/{seed}/{context}")
    rows = []
    while len(rows) < count:
        task = TASKS[len(rows) % len(TASKS)]
        depth = DEPTHS[len(rows) // len(TASKS) % len(DEPTHS)]
        row = evaluation_row(split, chat, rng, task, context, depth)
        parts = (row.document, row.question, row.answer)
        texts = [split.tokenizer.decode(part, skip_special_tokens=False) for part in parts]
        # Rare text, such as an unusual space, does not come back as the same tokens: such a row is made anew.
        if split.tokenizer.encode(render(*texts[:2]), add_special_tokens=False).ids == chat.prompt(row):
            values = dict(zip(("document", "question", "answer"), texts))
            name = f"{task}-{context}-{len(rows)}"
            rows.append({"id": name, "task": task, "context": context, "depth": row.depth, **values})
    return rows


def render(document, question):
    """The prompt of one user message, "{document}\\n\\n{question}", in the chat template."""
    return f"<s><|im_start|>user\n{document}\n\n{question}<|im_end|>\n<|im_start|>assistant\n"


def main():
    parser = argparse.ArgumentParser(description="Writes the held-out question sets.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--questions", type=int, default=400, help="of each length")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    held_out = Split(options.corpus, "held_out")
    options.out.mkdir(parents=True, exist_ok=True)
    for context in options.lengths:
        with open(options.out / f"questions-{context}.jsonl", "w", encoding="utf-8") as file:
            for row in question_set(held_out, context, options.questions, options.seed):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
