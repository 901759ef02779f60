"""Writes the sample documents: make_documents.py SOURCES MODEL documents.parquet. Prints a table with token counts."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from sources import Sources

SHORTEST, LONGEST = 6_000, 20_000  # tokens


def between(text, start, end):
    """The part from the line `start` to before the line `end`; each may occur once only."""
    text = "\n" + text
    for line in (start, end):
        if text.count(f"\n{line}\n") != 1:
            raise ValueError(f"the line {line!r} occurs {text.count(chr(10) + line + chr(10))} times, not once")
    return text[text.index(f"\n{start}\n") + 1 : text.index(f"\n{end}\n")].strip() + "\n"


def documents(sources):
    """Rows of id, title, source (Debian package) and text."""
    jargon = sources.jargon_chapters()
    opticks = sources.opticks()
    queries = opticks[opticks.index("\nQuery 1. ") + 1 : opticks.index("\nQu. 25. ")].strip() + "\n"

    def novel(title, start, end):
        return between(sources.austen(title), start, end)

    return [
        ("us-constitution", "The Constitution of the United States, with its Amendments", "miscfiles",
         sources.constitution()),
        ("alice", "Lewis Carroll: Alice's Adventures in Wonderland, chapters 1 to 3", "snappy (source)",
         between(sources.alice(), "CHAPTER I", "CHAPTER IV")),
        ("as-you-like-it", "William Shakespeare: As You Like It, act 1", "snappy (source)",
         between(sources.as_you_like_it(), "ACT I", "ACT II")),
        ("paradise-lost", "John Milton: Paradise Lost, book 1", "snappy (source)",
         between(sources.paradise_lost(), "Book I", "Book II")),
        ("opticks", "Isaac Newton: Opticks, queries 1 to 24", "golang-1.19-src", queries),
        ("jargon-file", "The Jargon File 4.4.7, chapters 1, 2 and 5 to 8", "jargon-text",
         "\n".join(jargon[number] for number in (1, 2, 5, 6, 7, 8))),
        ("ecclesiastes", "Ecclesiastes, King James Version", "bible-kjv-text",
         sources.bible("Ecclesiastes1:1-12:14")),
        ("esther", "Esther, King James Version", "bible-kjv-text", sources.bible("Esther1:1-10:3")),
        ("daniel", "Daniel, King James Version", "bible-kjv-text", sources.bible("Daniel1:1-12:13")),
        ("emma", "Jane Austen: Emma, volume 1, chapters 1 to 3", "r-cran-janeaustenr",
         between(sources.austen("Emma").split("VOLUME II\n")[0], "CHAPTER I", "CHAPTER IV")),
        ("northanger-abbey", "Jane Austen: Northanger Abbey, chapters 1 to 4", "r-cran-janeaustenr",
         novel("Northanger Abbey", "CHAPTER 1", "CHAPTER 5")),
        ("persuasion", "Jane Austen: Persuasion, chapters 1 to 3", "r-cran-janeaustenr",
         novel("Persuasion", "Chapter 1", "Chapter 4")),
        ("pride-and-prejudice", "Jane Austen: Pride and Prejudice, chapters 1 to 5", "r-cran-janeaustenr",
         novel("Pride and Prejudice", "Chapter 1", "Chapter 6")),
        ("sense-and-sensibility", "Jane Austen: Sense and Sensibility, chapters 1 to 5", "r-cran-janeaustenr",
         novel("Sense and Sensibility", "CHAPTER 1", "CHAPTER 6")),
    ]


def main():
    folder, model, output = sys.argv[1:]
    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    rows = documents(Sources(folder))
    total = 0
    for name, title, source, text in rows:
        tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
        total += tokens
        print(f"| {name} | {title} | {source} | {tokens:,} |")
        if not SHORTEST <= tokens <= LONGEST:
            raise ValueError(f"{name} has {tokens} tokens, not {SHORTEST} to {LONGEST}")
    print(f"{len(rows)} documents, {total:,} tokens")
    table = pa.table(dict(zip(("id", "title", "source", "text"), zip(*rows))))
    pq.write_table(table, output, compression="zstd")


if __name__ == "__main__":
    main()
