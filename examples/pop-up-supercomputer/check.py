"""Checks a run of fractal.yaml: python check.py [RESULTS]

Computes sampled tiles again, in Python, and compares every pixel of them with the picture; the other tiles' stdout must
stand in the picture byte for byte. Exits with 0 and a line that says what was compared, or with 1 and the first fault.
"""

import math
import random
import struct
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import yaml

TILES, SIDE, SAMPLES, SAMPLED = 32, 32, 2, 64
EDGE = TILES * SIDE
ESCAPE = 65536.0
STOPS = [(0, 7, 100), (32, 107, 203), (237, 255, 255), (255, 170, 0), (90, 12, 20)]


class WrongError(Exception):
    """What is wrong with the results."""


class View(NamedTuple):
    """The arguments of tile.c."""

    x: float
    y: float
    width: float
    limit: int


def log2_of(value: float) -> float:
    """As in tile.c, to the last bit: math.log2 may differ there."""
    half, exponent = math.frexp(value)
    mantissa = half * 2.0
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square, total = ratio * ratio, 0.0
    for odd in range(15, 0, -2):
        total = total * square + 1.0 / odd
    return (exponent - 1) + 2.0 * ratio * total * 1.4426950408889634


def escape(x: float, y: float, limit: int) -> tuple[int, float]:
    """After how many steps the point escapes, and |z|^2 then."""
    real = imaginary = real2 = imaginary2 = 0.0
    for count in range(limit):
        if real2 + imaginary2 > ESCAPE:
            return count, real2 + imaginary2
        imaginary = 2.0 * real * imaginary + y
        real = real2 - imaginary2 + x
        real2 = real * real
        imaginary2 = imaginary * imaginary
    return limit, 0.0


def colour(x: float, y: float, limit: int) -> tuple[int, int, int]:
    """The colour of one point of the plane; black when it does not escape."""
    count, distance = escape(x, y, limit)
    if count == limit:
        return (0, 0, 0)
    smooth = count + 5.0 - log2_of(log2_of(distance))
    stop, part = divmod(int(log2_of(smooth) * 1536.0) % (len(STOPS) * 1024), 1024)
    pairs = zip(STOPS[stop], STOPS[(stop + 1) % len(STOPS)], strict=True)
    red, green, blue = ((start * (1024 - part) + end * part) // 1024 for start, end in pairs)
    return (red, green, blue)


def tile(view: View, index: int) -> bytes:
    """The RGB bytes of one tile."""
    step = view.width / (EDGE * SAMPLES)
    x0, y0 = view.x - view.width / 2, view.y - view.width / 2
    row, column = divmod(index, TILES)
    pixels = bytearray()
    for pixel in range(SIDE * SIDE):
        x, y = (column * SIDE + pixel % SIDE) * SAMPLES, (row * SIDE + pixel // SIDE) * SAMPLES
        grid = [(x + dx, y + dy) for dy in range(SAMPLES) for dx in range(SAMPLES)]
        samples = [colour(x0 + across * step, y0 + down * step, view.limit) for across, down in grid]
        pixels += bytes(sum(channel) // len(samples) for channel in zip(*samples, strict=True))
    return bytes(pixels)


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks (type, data) of a PNG file, each CRC verified."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise WrongError("the picture is no PNG file")
    chunks, at = [], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        if struct.pack(">I", zlib.crc32(kind + body)) != data[at + 8 + size : at + 12 + size]:
            raise WrongError(f"the CRC of the picture's chunk {kind!r} is wrong")
        chunks.append((kind, body))
        at += 12 + size
    return chunks


def picture(path: Path) -> list[bytes]:
    """The rows of RGB bytes of the PNG file."""
    chunks = png_chunks(path.read_bytes())
    if [kind for kind, _ in chunks] != [b"IHDR", b"IDAT", b"IEND"]:
        raise WrongError(f"the picture has the chunks {[kind for kind, _ in chunks]}, not IHDR, IDAT and IEND")
    if chunks[0][1] != struct.pack(">IIBBBBB", EDGE, EDGE, 8, 2, 0, 0, 0):
        raise WrongError(f"the picture is not {EDGE} by {EDGE} pixels of 8-bit RGB")
    raw, size = zlib.decompress(chunks[1][1]), 1 + EDGE * 3
    if len(raw) != EDGE * size or any(raw[start] != 1 for start in range(0, len(raw), size)):
        raise WrongError("the picture's rows are not whole or not filtered with Sub")
    return [unfiltered(raw[start + 1 : start + size]) for start in range(0, len(raw), size)]


def unfiltered(row: bytes) -> bytes:
    """Undoes filter Sub: each byte is the difference to the one three bytes before."""
    pixels = bytearray(row)
    for at in range(3, len(pixels)):
        pixels[at] = (pixels[at] + pixels[at - 3]) & 255
    return bytes(pixels)


def shown(rows: list[bytes], index: int) -> bytes:
    """The RGB bytes that the picture shows at one tile's place."""
    top, left = index // TILES * SIDE, index % TILES * SIDE * 3
    return b"".join(row[left : left + SIDE * 3] for row in rows[top : top + SIDE])


def check(results: Path) -> str:
    """What was found right; raises WrongError."""
    spec = yaml.safe_load(Path(__file__).with_name("fractal.yaml").read_text(encoding="utf-8"))["spec"]
    x, y, width, limit = spec["tasklet"]["args"]
    heavy = [index for index, entry in enumerate(spec["input"]["items"]) if "requirements" in entry]
    path = next(results.rglob("fractal.png"), None)
    if path is None:
        raise WrongError(f"there is no fractal.png below {results}: run leasegrid run fractal.yaml --results {results}")
    rows = picture(path)
    sampled = sorted({*heavy[:2], *random.Random(TILES).sample(range(TILES * TILES), SAMPLED)})
    with ProcessPoolExecutor() as pool:
        computed = pool.map(tile, [View(float(x), float(y), float(width), int(limit))] * len(sampled), sampled)
        wrong = [index for index, pixels in zip(sampled, computed, strict=True) if shown(rows, index) != pixels]
    if wrong:
        raise WrongError(f"{len(wrong)} of {len(sampled)} tiles are not what Python computes, first {wrong[0]}")
    for index in range(TILES * TILES):
        stdout = results / str(index) / "stdout"
        if stdout.read_bytes() != shown(rows, index):
            raise WrongError(f"the picture does not show tile {index} as it stands in {stdout}")
    return f"{path}: {EDGE} x {EDGE} pixels; {len(sampled)} tiles computed again in Python are the same in every pixel"


def main() -> int:
    """The exit code."""
    try:
        print("right:", check(Path(sys.argv[1] if len(sys.argv) > 1 else "results")))
    except (WrongError, OSError, zlib.error) as fault:
        print("wrong:", fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
