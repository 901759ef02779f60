"""Writes the training corpus: corpus.py SOURCES DOCUMENTS OUT, with the folder that fetch_corpus.sh filled and the
sample documents (Parquet), none of whose text may be trained on. OUT/works.jsonl has one work a line: name, split, text.

Whole works and books are held out. A sentence that shares twelve words in a row with a sample document is left out of
everything, and one that shares them with a held-out work is left out of the training split.
"""

import html
import json
import re
import struct
import sys
import zlib
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "sample-data" / "scripts"))
from sources import Sources  # noqa: E402

RUN = 12  # words
HELD_OUT_BOOKS = ("Isa", "Acts")
# Translations of these books would repeat sample documents, and so would the Greek additions to them.
SAMPLE_BOOKS = ("Eccl", "Esth", "EsthGr", "AddEsth", "Dan", "DanGr", "AddDan", "PrAzar", "Sus", "Bel")
KING_JAMES = {
    "genesis-nehemiah": "Genesis1:1-Nehemiah13:31",
    "job-proverbs": "Job1:1-Proverbs31:31",
    "song": "Song1:1-8:14",
    "isaiah": "Isaiah1:1-66:24",
    "jeremiah-ezekiel": "Jeremiah1:1-Ezekiel48:35",
    "hosea-malachi": "Hosea1:1-Malachi4:6",
    "matthew-john": "Matthew1:1-John21:25",
    "acts": "Acts1:1-28:31",
    "romans-revelation": "Romans1:1-Revelation22:21",
}


def works(folder):
    """Name, whether it is held out, and the text of every work."""
    sources = Sources(folder)
    for name, verses in KING_JAMES.items():
        yield f"king-james/{name}", name in ("isaiah", "acts"), sources.bible(verses)
    yield "mansfield-park", False, sources.austen("Mansfield Park")
    yield "declaration", False, sources.declaration()
    for path in sorted(sources.root.glob("sotu/data/*.txt")):
        yield f"state-of-the-union/{path.stem}", path.stem[3] == "5", path.read_text(encoding="utf-8")
    chapters = sorted(sources.root.glob("moby-dick/data/chapter_*.txt"), key=lambda path: int(path.stem.split("_")[1]))
    yield "moby-dick", True, "\n\n".join(path.read_text(encoding="utf-8") for path in chapters)
    modules = sources.root / "usr/share/sword/modules"
    for name, stem, kind in (
        ("world-english", "texts/ztext/engWEB2015eb", "b"),
        ("matthew-henry", "comments/zcom/mhcc", "b"),
        ("treasury-of-david", "comments/zcom/tdavid", "c"),
    ):
        for number, (book, text) in enumerate(sword_books(modules / stem, kind)):
            if book not in SAMPLE_BOOKS:
                yield f"{name}/{number}-{book}", book in HELD_OUT_BOOKS, text


def sword_books(folder, kind):
    """Book and text of each compressed part of a SWORD module: (offset, size, full size) of each lie in the index.

    Parts that name no book are left out: they are introductions and pieces of the Greek additions.
    """
    for testament in ("ot", "nt"):
        index = (folder / f"{testament}.{kind}zs").read_bytes()
        data_path = folder / f"{testament}.{kind}zz"
        data = data_path.read_bytes() if data_path.exists() else b""
        for offset, size, _ in struct.iter_unpack("<III", index):
            if size:
                markup = zlib.decompress(data[offset : offset + size]).decode("utf-8")
                if found := re.search(r'osisID="(\w+)', markup):
                    yield found.group(1), osis_text(markup)


def osis_text(markup):
    """The readable text of OSIS markup, a paragraph or a line of verse a line."""
    text = re.sub(r"<note\b.*?</note>|<title\b.*?</title>|\s+", lambda m: " " if m.group().isspace() else "", markup)
    text = re.sub(r'<div eID="[^"]*" type="x-p"/>|<lb[^>]*>|<l eID[^>]*>|</l>|</row>|<chapter eID[^>]*>', "\n", text)
    return html.unescape(re.sub(r"<[^>]*>", "", text))


def tidy(text):
    lines = (re.sub(r"[ \t\u00a0]+", " ", line).strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def runs(text):
    words = re.findall(r"[a-z]+", text.lower())
    return {hash(tuple(words[i : i + RUN])) for i in range(len(words) - RUN + 1)}


def without(text, banned):
    """The text without the sentences that share a run of words with `banned`, and their number."""
    parts = re.split(r"((?<=[.?!;:])\s+|\n+)", text)
    dropped = [i for i in range(0, len(parts), 2) if not banned.isdisjoint(runs(parts[i]))]
    for i in dropped:
        parts[i] = ""
        if i + 1 < len(parts) and "\n" not in parts[i + 1]:
            parts[i + 1] = ""
    return tidy("".join(parts)), len(dropped)


def main():
    folder, documents, output = sys.argv[1:]
    all_works = [(name, held_out, tidy(text)) for name, held_out, text in works(folder)]
    sample, held_out_runs = set(), set()
    for text in pq.read_table(documents, columns=["text"])["text"].to_pylist():
        sample |= runs(text)
    for _, held_out, text in all_works:
        if held_out:
            held_out_runs |= runs(text)
    Path(output).mkdir(parents=True, exist_ok=True)
    sizes, left_out = {"train": 0, "held_out": 0}, 0
    with open(Path(output) / "works.jsonl", "w", encoding="utf-8") as file:
        for name, held_out, text in all_works:
            split = "held_out" if held_out else "train"
            text, dropped = without(text, sample if held_out else sample | held_out_runs)
            left_out += dropped
            sizes[split] += len(text)
            file.write(json.dumps({"name": name, "split": split, "text": text}, ensure_ascii=False) + "\n")
    print(f"{len(all_works)} works, {sizes} characters, {left_out} sentences left out as shared")


if __name__ == "__main__":
    main()
