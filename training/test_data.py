"""pytest training/test_data.py: sequences and question sets. Needs the corpus in training/out."""

import random
from pathlib import Path

import pytest

from data import ANSWER, IGNORED, TASKS, TEXT, Chat, Sequences, Split, question_set, render

CORPUS = Path(__file__).parent / "out"
pytestmark = pytest.mark.skipif(not (CORPUS / "train.npy").exists(), reason="the corpus is not there: see README.md")


@pytest.fixture(scope="module")
def held_out():
    return Split(CORPUS, "held_out")


@pytest.fixture(scope="module")
def questions(held_out):
    return question_set(held_out, 2048, 50, seed=1)


def text(tokenizer, tokens):
    return tokenizer.decode(tokens, skip_special_tokens=False)


def test_a_sequence_is_the_encoding_of_its_text(held_out):
    tokens, _ = Sequences(CORPUS, 1024, 8, seed=3)[0]
    for row in tokens.tolist():
        row = [token for token in row if token]
        assert held_out.tokenizer.encode(text(held_out.tokenizer, row), add_special_tokens=False).ids == row


def test_every_answer_is_marked_and_was_planted(held_out):
    tokens, marks = Sequences(CORPUS, 2048, 4, seed=4)[0]
    for row, mark in zip(tokens, marks):
        read = text(held_out.tokenizer, row.tolist())
        answers = [part.split("<|im_end|>")[0] for part in read.split("assistant\n")[1:]]
        assert text(held_out.tokenizer, row[mark == ANSWER].tolist()) == "".join(a + "<|im_end|>" for a in answers)
        planted = text(held_out.tokenizer, row[mark == IGNORED].tolist())
        for answer in answers:
            assert all(piece.removeprefix("the ") in planted for piece in answer.split(", "))
        assert "magic number" not in text(held_out.tokenizer, row[mark == TEXT].tolist())


def test_the_same_seed_gives_the_same_batch():
    first, second = (Sequences(CORPUS, 512, 2, seed=5)[7][0] for _ in range(2))
    assert first.equal(second)
    assert not first.equal(Sequences(CORPUS, 512, 2, seed=6)[7][0])


def test_the_sides_share_no_name_and_no_number(held_out, questions):
    train, rng = Split(CORPUS, "train"), random.Random(1)
    for _ in range(100):
        assert not any(map(train.is_held_out, train.names(rng, 100)))
        assert all(map(train.is_held_out, held_out.names(rng, 100)))
    numbers = [int(n) for row in questions if row["task"] != "variables" for n in row["answer"].split(", ")]
    assert numbers and all(n % 7 == 0 for n in numbers)


def test_questions_fit_their_length_and_can_be_answered(held_out, questions):
    assert {row["task"] for row in questions} == set(TASKS)
    for row in questions:
        prompt = held_out.tokenizer.encode(render(row["document"], row["question"]), add_special_tokens=False).ids
        answer = held_out.tokenizer.encode(row["answer"], add_special_tokens=False).ids
        assert 2048 - 400 < len(prompt) + len(answer) + 1 <= 2048
        assert all(row["document"].count(piece.removeprefix("the ")) >= 1 for piece in row["answer"].split(", "))
        assert 0 <= row["depth"] <= 1


def test_facts_stand_between_sentences(questions):
    for row in questions:
        for before in row["document"].split(" The special magic number for the ")[:-1]:
            assert before.rstrip('")')[-1] in ".?!"
        assert row["document"].endswith(('.', '?', '!', '."', '?"', '!"', '.)'))


def test_the_chat_template_in_tokens_is_its_text(held_out):
    chat = Chat(held_out)
    tokens = chat.bos + chat.user + chat.gap + chat.assistant
    assert text(held_out.tokenizer, tokens) == render("", "")
