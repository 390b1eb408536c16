"""Writes fractal.yaml: 1,024 tiles as items, of which the heavy ones ask for a larger member.

    python generate.py            writes fractal.yaml
    python generate.py --check    exits with 1 if fractal.yaml is not what it would write

To look elsewhere, change the view here and run it again; check.py reads the view from fractal.yaml.
"""

import sys
from pathlib import Path

CENTRE_X, CENTRE_Y, WIDTH, LIMIT = "-0.743643887037151", "0.131825904205330", "0.00003", 4000
TILES = 32
PROBES = 3  # per side of a tile
ITEMS_PER_LINE = 4
HEAVY = "{memory: 1Gi}"

HEAD = f"""\
# Written by generate.py: change the view there, then run it again.
apiVersion: leasegrid.dev/v1alpha1
kind: Job
metadata:
  name: pop-up-supercomputer
spec:
  tasklet:
    module: {{path: tile.wasm}}
    args: ["{CENTRE_X}", "{CENTRE_Y}", "{WIDTH}", "{LIMIT}"]
    fuel: 2000000000     # the heaviest tile takes 610 million
    memory: 4Mi
    maxOutput: 64Ki
  parallelism: 64
  aggregate:
    tasklet:
      module: {{path: mosaic.wasm}}
      args: ["/out/fractal.png"]
      memory: 16Mi
  input:
    items: [             # "COLUMN ROW" of each tile, row by row
"""


def iterations(x: float, y: float) -> int:
    """The number of steps of z = z*z + c until it escapes, at most LIMIT."""
    point, z = complex(x, y), 0j
    for count in range(LIMIT):
        if z.real * z.real + z.imag * z.imag > 4.0:
            return count
        z = z * z + point
    return LIMIT


def is_heavy(column: int, row: int) -> bool:
    """Whether probes of the tile take, on average, more than half of the limit."""
    side = float(WIDTH) / TILES
    left, top = float(CENTRE_X) + (column - TILES / 2) * side, float(CENTRE_Y) + (row - TILES / 2) * side
    offsets = [(probe + 0.5) / PROBES * side for probe in range(PROBES)]
    return sum(iterations(left + dx, top + dy) for dx in offsets for dy in offsets) > PROBES * PROBES * LIMIT / 2


def item(column: int, row: int) -> str:
    """The item of one tile."""
    if is_heavy(column, row):
        return f'{{value: "{column} {row}", requirements: {HEAVY}}},'
    return f'{{value: "{column} {row}"}},'


def main() -> int:
    """Writes or checks the file beside this one."""
    target = Path(__file__).with_name("fractal.yaml")
    items = [item(column, row) for row in range(TILES) for column in range(TILES)]
    lines = [items[start : start + ITEMS_PER_LINE] for start in range(0, len(items), ITEMS_PER_LINE)]
    text = HEAD + "".join(f"      {' '.join(line)}\n" for line in lines) + "    ]\n"
    if "--check" not in sys.argv[1:]:
        target.write_text(text, encoding="utf-8")
    elif target.read_text(encoding="utf-8") != text:
        print("fractal.yaml differs from what generate.py writes: run python generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
