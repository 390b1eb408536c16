"""The same estimate as estimate.c, in Python: it keeps its state in /durable itself.

stdin:  "SEED STEPS SAMPLES", SAMPLES pairs of points in each of STEPS steps
stdout: "mean MEAN error STANDARD_ERROR median MEDIAN samples COUNT"

/durable holds what was there when the last checkpoint of this chunk was taken; the first time it is empty. A state is
written beside the last one and renamed over it: names that end in .tmp are never kept.
"""

import json
import math
import os
import sys
import time
from array import array

BINS = 1 << 20
STATE = "/durable/state"
MASK = (1 << 64) - 1


class Estimate:
    """Where the computation stands: all that the next step needs."""

    def __init__(self, seed: int) -> None:
        self.random, self.done, self.sum, self.square_sum = seed, 0, 0.0, 0.0
        self.histogram = array("L", bytes(4 * BINS))

    def save(self) -> None:
        with open(STATE + ".tmp", "wb") as file:
            numbers = {"done": self.done, "random": self.random, "sum": self.sum, "square_sum": self.square_sum}
            file.write(json.dumps(numbers).encode() + b"\n")
            self.histogram.tofile(file)
        os.replace(STATE + ".tmp", STATE)

    def restore(self) -> None:
        with open(STATE, "rb") as file:
            vars(self).update(json.loads(file.readline()))
            self.histogram = array("L")
            self.histogram.fromfile(file, BINS)

    def uniform(self) -> float:
        """SplitMix64 (Steele, Lea and Flood 2014): a number in [0, 1) with 53 random bits."""
        self.random = mixed = self.random + 0x9E3779B97F4A7C15 & MASK
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & MASK
        return ((mixed ^ mixed >> 31) >> 11) * 2.0**-53

    def step(self, samples: int) -> None:
        for _ in range(samples):
            total = 0.0
            for _axis in range(3):
                difference = self.uniform() - self.uniform()
                total += difference * difference
            distance = math.sqrt(total)
            self.sum += distance
            self.square_sum += distance * distance
            self.histogram[int(distance * (BINS / 2))] += 1
        self.done += 1

    def median(self, count: float) -> float:
        below = 0
        for number, found in enumerate(self.histogram):
            below += found
            if 2 * below >= count:
                return (number + 0.5) * (2.0 / BINS)
        return 0.0


def main() -> None:
    seed, steps, samples = map(int, sys.stdin.read().split())
    estimate = Estimate(seed)
    if os.path.exists(STATE):
        estimate.restore()
    saved = time.monotonic()
    while estimate.done < steps:
        estimate.step(samples)
        if time.monotonic() - saved > 1.0:
            estimate.save()
            saved = time.monotonic()
    count = float(steps * samples)
    mean = estimate.sum / count
    error = math.sqrt((estimate.square_sum / count - mean * mean) / count)
    sys.stdout.write(f"mean {mean:.17g} error {error:.3g} median {estimate.median(count):.17g} samples {count:.0f}\n")


main()
