"""One side of the join: join_map.py KIND PATTERN. A line name<TAB>KIND<TAB>file for each match in the files of /in."""

import re
import sys
from pathlib import Path

kind, pattern = sys.argv[1].encode(), re.compile(sys.argv[2].encode(), re.MULTILINE)
for path in sorted(Path("/in").rglob("*.py")):
    for name in pattern.findall(path.read_bytes()):
        sys.stdout.buffer.write(b"%b\t%b\t%b\n" % (name, kind, bytes(path.relative_to("/in"))))
