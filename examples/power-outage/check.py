"""Checks the results of module.yaml or python.yaml: python check.py RESULTS module|python

Inputs of up to 200,000 samples are computed again here, and must be the same in every digit. Of larger ones the mean
must be where the exact one is: at 0.66170718…, the mean distance of two points in the unit cube (Robbins 1978).
"""

import itertools
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOTS = math.sqrt(2), math.sqrt(3)
EXACT = (4 + 17 * ROOTS[0] - 6 * ROOTS[1] - 7 * math.pi) / 105 + (
    math.log(1 + ROOTS[0]) + 2 * math.log(2 + ROOTS[1])
) / 5
BINS = 1 << 20
MOST = 200_000
WORD = 1 << 64


def split_mix(seed: int) -> Iterator[float]:
    """The generator of Steele, Lea and Flood: the n-th number depends on nothing but seed + n times a constant."""
    for number in itertools.count(1):
        z = (seed + number * 0x9E3779B97F4A7C15) % WORD
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
        yield math.ldexp((z ^ (z >> 31)) >> 11, -53)


def expected(seed: int, samples: int) -> str:
    """The last line of the output."""
    uniform = split_mix(seed)
    distances = []
    for _ in range(samples):
        axes = [(next(uniform), next(uniform)) for _ in range(3)]
        distances.append(math.sqrt(sum((start - end) ** 2 for start, end in axes)))
    mean = running_sum(distances) / samples
    error = math.sqrt((running_sum(d * d for d in distances) / samples - mean * mean) / samples)
    middle = sorted(int(distance * (BINS / 2)) for distance in distances)[(samples + 1) // 2 - 1]
    return f"mean {mean:.17g} error {error:.3g} median {(middle + 0.5) * 2 / BINS:.17g} samples {samples}"


def running_sum(numbers: Iterable[float]) -> float:
    """Added one after the other, as both programs do; `sum` of newer Pythons is more exact than that."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def check(results: Path, name: str) -> str:
    items = yaml.safe_load((HERE / f"{name}.yaml").read_text())["spec"]["input"]["items"]
    again = 0
    for index, item in enumerate(items):
        seed, steps, samples = map(int, item["value"].split())
        *tenths, last = (results / str(index) / "stdout").read_text().splitlines()
        if steps * samples <= MOST:
            again += 1
            if last != expected(seed, steps * samples):
                raise SystemExit(f"wrong: chunk {index} says {last}, it must be {expected(seed, steps * samples)}")
        words = last.split()
        if abs(float(words[1]) - EXACT) > 5 * float(words[3]) or int(words[7]) != steps * samples:
            raise SystemExit(f"wrong: chunk {index} says {last}, the exact mean is {EXACT}")
        if name == "module" and [line.split()[0] for line in tenths] != [f"{tenth}0" for tenth in range(1, 10)]:
            raise SystemExit(f"wrong: chunk {index} does not tell each tenth once: {tenths}")
    return f"right: {len(items)} estimates of {EXACT:.6f}; {again} computed again here are the same in every digit"


if __name__ == "__main__":
    print(check(Path(sys.argv[1]), sys.argv[2]))
