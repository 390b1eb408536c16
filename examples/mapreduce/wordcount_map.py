"""Counts the words of the files in /in: a line word<TAB>count for each.

A word is a run of letters, digits and underscores; what is not ASCII counts as letters, so the bytes need no decoding.
"""

import sys
from collections import Counter
from pathlib import Path

SEPARATORS = bytes(code for code in range(128) if not (chr(code).isalnum() or chr(code) == "_"))
SPACES = bytes.maketrans(SEPARATORS, b" " * len(SEPARATORS))

counts: Counter[bytes] = Counter()
for path in Path("/in").rglob("*.py"):
    counts.update(path.read_bytes().translate(SPACES).split())
sys.stdout.buffer.write(b"".join(b"%b\t%d\n" % pair for pair in counts.items()))
