"""Adds up word<TAB>count lines: every line of a word is here, as the partition belongs to the word."""

import sys
from collections import Counter

counts: Counter[bytes] = Counter()
for line in sys.stdin.buffer:
    word, _, count = line.partition(b"\t")
    counts[word] += int(count)
sys.stdout.buffer.write(b"".join(b"%b\t%d\n" % pair for pair in sorted(counts.items())))
