"""What the store is compared with: a plain copy with a checksum, and a bare HTTP server.

Run as `python -m benchmarks.storing.plain SOCKET FOLDER`: the bare server, without checksum, index, quota or grants.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import aiohttp
from aiohttp import web

from tasklet_runner.wire.digests import Hasher

PIECE_BYTES = 1024 * 1024


def copy(source: Path, target: Path, digest: Hasher) -> bytes:
    """Copy a file piece by piece, hashing it on the way: one read, one write, one digest."""
    with source.open("rb", buffering=0) as read, target.open("wb", buffering=0) as written:
        while piece := read.read(PIECE_BYTES):
            digest.update(piece)
            written.write(piece)
    return digest.digest()


async def bare_put(http: aiohttp.ClientSession, name: str, source: Path) -> None:
    """Put a file at the bare server."""
    with FileIO(source) as file:
        headers = {"Content-Length": str(source.stat().st_size)}
        async with http.put(f"http://bare/{name}", data=_pieces(file), headers=headers) as response:
            response.raise_for_status()


async def bare_get(http: aiohttp.ClientSession, name: str, target: Path) -> None:
    """Get it back into a file."""
    async with http.get(f"http://bare/{name}") as response:
        response.raise_for_status()
        with target.open("wb", buffering=0) as file:
            async for piece in response.content.iter_any():
                file.write(piece)


@contextmanager
def bare_server(folder: Path) -> Iterator[Path]:
    """The bare server as a process of its own; the path of its socket."""
    path = folder / "bare.sock"
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.storing.plain", str(path), str(folder)], stdout=subprocess.PIPE
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield path
        finally:
            process.terminate()


async def _pieces(file: FileIO) -> AsyncIterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece


async def _serve(path: str, folder: Path) -> None:
    async def put(request: web.Request) -> web.Response:
        with (folder / request.match_info["name"]).open("wb", buffering=0) as file:
            async for piece in request.content.iter_any():
                file.write(piece)
        return web.Response()

    async def get(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        with (folder / request.match_info["name"]).open("rb", buffering=0) as file:
            response.content_length = os.fstat(file.fileno()).st_size
            await response.prepare(request)
            while piece := file.read(PIECE_BYTES):
                await response.write(piece)
        return response

    application = web.Application()
    application.add_routes([web.put("/{name}", put), web.get("/{name}", get)])
    runner = web.AppRunner(application, access_log=None, read_bufsize=PIECE_BYTES)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
