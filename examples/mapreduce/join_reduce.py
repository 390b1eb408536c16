"""The join: for each name on both sides how often it is raised, and the files that define it, by tabs."""

import sys
from collections import defaultdict

defined: defaultdict[bytes, set[bytes]] = defaultdict(set)
raised: defaultdict[bytes, int] = defaultdict(int)
for line in sys.stdin.buffer:
    name, kind, path = line.rstrip(b"\n").split(b"\t")
    if kind == b"class":
        defined[name].add(path)
    else:
        raised[name] += 1
for name in sorted(defined.keys() & raised.keys()):
    sys.stdout.buffer.write(b"%b\t%d\t%b\n" % (name, raised[name], b" ".join(sorted(defined[name]))))
