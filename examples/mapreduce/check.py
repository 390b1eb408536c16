"""Checks the results of wordcount.yaml and join.yaml against one pass in plain Python: python check.py RESULTS [NAME]

With NAME (wordcount or join) RESULTS is the directory of that run alone, else it has one of each name. The sources are
those that the YAML names, found with the module glob, and read as text. Exits with 0, or with 1 and what is wrong.
"""

import glob
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent


def sources(name: str) -> dict[str, str]:
    """The text of each file, by its path below the root of all."""
    graph = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
    globs = graph["spec"]["tasks"][0]["input"]["files"]["globs"]
    paths = {path for pattern in globs for path in glob.glob(str(HERE / pattern))}
    # Latin-1 reads any bytes, a character each, and gives them back as they were.
    return {path.lstrip("/"): Path(path).read_bytes().decode("latin-1") for path in sorted(paths)}


def lines_of(results: Path) -> list[list[str]]:
    """The fields of every line of all chunks, in order."""
    texts = (path.read_bytes().decode("latin-1") for path in sorted(results.glob("*/stdout")))
    return [line.split("\t") for text in texts for line in text.split("\n") if line]


def check_wordcount(results: Path) -> str:
    """Every word and its count, and the order."""
    counted: Counter[str] = Counter()
    for text in sources("wordcount").values():
        counted.update(re.findall(r"[A-Za-z0-9_\x80-\xff]+", text))
    found = [(word, int(count)) for word, count in lines_of(results)]
    if Counter(dict(found)) != counted or len(found) != len(counted):
        sys.exit(f"wrong: the counts in {results} are not those of collections.Counter")
    if found != sorted(found, key=lambda pair: (-pair[1], pair[0])):
        sys.exit(f"wrong: the words in {results} are not in order")
    first = ", ".join(f"{word} {count:,}" for word, count in found[:3])
    return f"right: {len(found):,} words, {counted.total():,} in all, as collections.Counter has them: {first} …"


def check_join(results: Path) -> str:
    """Every name that is defined and raised."""
    defined: defaultdict[str, set[str]] = defaultdict(set)
    raised: Counter[str] = Counter()
    for path, text in sources("join").items():
        for line in text.split("\n"):
            if line.startswith("class ") and (name := first_word(line[len("class ") :])):
                defined[name].add(path)
            if line.startswith(" ") and line.lstrip(" ").startswith("raise "):
                raised[first_word(line.lstrip(" ")[len("raise ") :])] += 1
    expected = {name: (raised[name], " ".join(sorted(paths))) for name, paths in defined.items() if raised[name]}
    found = {name: (int(count), paths) for name, count, paths in lines_of(results)}
    if found != expected:
        sys.exit(f"wrong: {len(found)} names in {results}, and plain Python finds {len(expected)} or others")
    name, (count, _) = max(found.items(), key=lambda pair: pair[1][0])
    return f"right: {len(found):,} classes are defined and raised, {name} in {count} places"


def first_word(text: str) -> str:
    """The name at the start; empty when there is none."""
    end = next((place for place, one in enumerate(text) if not (one.isascii() and one.isalnum()) and one != "_"), None)
    return text[:end]


CHECKS: dict[str, Callable[[Path], str]] = {"wordcount": check_wordcount, "join": check_join}


def main() -> None:
    """Checks one run, or both."""
    results, names = Path(sys.argv[1]), sys.argv[2:]
    for name in names or CHECKS:
        print(CHECKS[name](results if names else results / name))


if __name__ == "__main__":
    main()
