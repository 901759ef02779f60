"""The public-domain texts, read from the folder that fetch_sources.sh filled, as plain readable text.

A printed page breaks its lines where the page ends. Prose is therefore joined to one line a paragraph, while verse,
dialogue and lists keep their lines.
"""

import gzip
import re
import struct
import subprocess
import zlib
from pathlib import Path

VERSE_WIDTH = 50


class Sources:
    """Texts by name; every method returns the whole work."""

    def __init__(self, folder):
        self.root = Path(folder) / "root"

    def alice(self):
        text = _lines(self._snappy("alice29.txt")).replace("\x1a", "")
        text = text[: text.index("THE END")]
        return _tidy(_unwrap(text))

    def as_you_like_it(self):
        text = _lines(self._snappy("asyoulik.txt"))
        # Every scene repeats the play's title and the heading of its act.
        text = re.sub(r"^\tAS YOU LIKE IT\n+(?=ACT )", "", text, flags=re.M)
        text = re.sub(r"^ACT ([IV]+)\n+(?=SCENE ([IVX]+)\t)", _act_heading, text, flags=re.M)
        text = re.sub(r"^SCENE ([IVX]+)\t", r"Scene \1. ", text, flags=re.M)
        text = re.sub(r"^([A-Z][A-Za-z ]*)\t", r"\1: ", text, flags=re.M)
        return _tidy(re.sub(r"\t+", "", text))

    def opticks(self):
        text = self._read("usr/share/go-1.19/src/testdata/Isaac.Newton-Opticks.txt")
        text = text[text.index("OPTICKS:") :]
        text = re.sub(r"\[(Illustration|Sidenote)[^\]]*\]", "", text)
        text = re.sub(r"_([^_]+)_", r"\1", text)
        return _tidy(_unwrap(text))

    def constitution(self):
        return _tidy(_unwrap(self._gunzip("usr/share/state/us-constitution.gz")))

    def declaration(self):
        return _tidy(_unwrap(self._gunzip("usr/share/state/us-declaration.gz")))

    def jargon_chapters(self):
        """The introductory chapters, by number. Braces mark entries of the lexicon and are dropped."""
        text = self._gunzip("usr/share/doc/jargon-text/jargon.txt.gz").replace("\u00a0", " ")
        text = text[text.index("\nChapter 1. ") : text.index("Part II. The Jargon Lexicon\n")]
        text = re.sub(r"\{([^{}]+)\}", r"\1", text)
        text = re.sub(r"^   Table of Contents\n(\n   .{1,40}\n)+", "", text, flags=re.M)
        chapters = re.split(r"^(?=Chapter \d+\. )", text, flags=re.M)[1:]
        return {number: _tidy(_unwrap(chapter)) for number, chapter in enumerate(chapters, 1)}

    def austen(self, title):
        """One of the six novels. The package keeps each as an R character vector of printed lines."""
        data = self._bytes("usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
        for lines in _r_string_vectors(data):
            if lines[0].lower() == title.lower():
                return _tidy(_unwrap(re.sub(r"_([^_]+)_", r"\1", "\n".join(lines))))
        raise KeyError(title)

    def bible(self, verses):
        """A range of the King James Version, such as "Ecclesiastes1:1-12:14", one verse a line."""
        command = [self.root / "usr/bin/bible", "-p", self.root / "usr/lib", "-l100000", verses]
        text = subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout
        return _tidy(text)

    def _bytes(self, path):
        return (self.root / path).read_bytes()

    def _read(self, path):
        return self._bytes(path).decode("utf-8")

    def _gunzip(self, path):
        return gzip.decompress(self._bytes(path)).decode("utf-8")

    def _snappy(self, name):
        return self._read(f"snappy-1.1.9/testdata/{name}")


def _lines(text):
    return "\n".join(line.rstrip() for line in text.splitlines())


def _act_heading(match):
    act, scene = match.groups()
    return f"ACT {act}\n\n" if scene == "I" else ""


def _unwrap(text):
    """Joins the lines of prose paragraphs; a paragraph whose lines are all short is verse or a list."""
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n[ \t]*\n", text) if part.strip())


def _paragraph(part):
    lines = [line.rstrip() for line in part.splitlines() if line.strip()]
    if max(len(line.strip()) for line in lines[: max(1, len(lines) - 1)]) < VERSE_WIDTH:
        return "\n".join(line.strip() for line in lines)
    joined = lines[0].strip()
    for line in lines[1:]:
        # A line that ends in a hyphen or dash ends inside a compound: these texts hyphenate nothing else.
        glue = "" if re.search(r"\S-$", joined) else " "
        joined += glue + line.strip()
    return re.sub(r" {2,}", " ", joined)


def _tidy(text):
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip() + "\n"


def _r_string_vectors(data):
    """Yields the character vectors of an .rdb file: blobs of a 4-byte size and a zlib stream of R's XDR format."""
    while data:
        stream = zlib.decompressobj()
        blob = stream.decompress(data[4:])
        data = stream.unused_data
        yield _r_strings(blob)


def _r_strings(blob):
    (encoding_size,) = struct.unpack_from(">i", blob, 14)
    at = 18 + encoding_size
    kind, count = struct.unpack_from(">ii", blob, at)
    if kind & 0xFF != 16:
        raise ValueError(f"not a character vector: R type {kind & 0xFF}")
    at += 8
    strings = []
    for _ in range(count):
        (size,) = struct.unpack_from(">i", blob, at + 4)
        strings.append(blob[at + 8 : at + 8 + size].decode("utf-8"))
        at += 8 + size
    return strings
