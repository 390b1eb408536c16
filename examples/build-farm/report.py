"""Sums up what compile_module.py wrote for all modules (on stdin) into a text: report.py PATH_OF_REPORT"""

import sys
from collections import Counter

SIZES = ("lines", "functions", "classes", "imports", "findings")
OFFENDERS = 10


def table(counter: Counter[str], rows: int | None = None) -> list[str]:
    """Lines of count and name, most first, then by name."""
    ranked = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))
    return [f"{count:>8}  {name}" for name, count in ranked[:rows]]


def main() -> None:
    """Writes the report, and its first line to stdout."""
    records = [line.rstrip("\n").split("\t") for line in sys.stdin]
    modules = [(record[1], [int(size) for size in record[2:]]) for record in records if record[0] == "module"]
    failures = [f"not compiled: {record[1]}: {record[2]}" for record in records if record[0] == "error"]
    totals = [sum(column) for column in zip(*(sizes for _, sizes in modules), strict=True)]
    head = f"{len(modules)} modules compiled, {len(failures)} not"
    lines = [head, "", *table(Counter(dict(zip(SIZES, totals, strict=False)))), "", "findings by rule"]
    lines += table(Counter(record[3] for record in records if record[0] == "finding"))
    lines += ["", "modules with most findings"]
    lines += table(Counter({path: sizes[-1] for path, sizes in modules}), OFFENDERS)
    lines += ["", *failures]
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip() + "\n")
    print(head)


main()
