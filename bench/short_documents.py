"""Short texts out of long ones: 1,000 of 20 to 49 words, as Parquet. short_documents.py DOCUMENTS OUT (needs pyarrow)"""

import sys

import pyarrow
import pyarrow.parquet

documents, out = sys.argv[1:]
words = " ".join(pyarrow.parquet.read_table(documents)["text"].to_pylist()).split()
texts = [" ".join(words[i * 37 % (len(words) - 60) :][: 20 + i % 30]) for i in range(1000)]
pyarrow.parquet.write_table(pyarrow.table({"id": [f"d{i}" for i in range(1000)], "text": texts}), out)
