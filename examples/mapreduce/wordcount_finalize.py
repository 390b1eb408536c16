"""Puts the words of all partitions in order: the most frequent first, those of one count by their bytes."""

import sys

pairs = (line.rstrip(b"\n").split(b"\t") for line in sys.stdin.buffer)
for word, count in sorted(pairs, key=lambda pair: (-int(pair[1]), pair[0])):
    sys.stdout.buffer.write(b"%b\t%b\n" % (word, count))
