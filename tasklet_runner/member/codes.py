"""Native code of a lease: compiled once per module, or opened from what another member compiled."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.member.sealing import associated_data, decrypt_code
from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.sandbox.engine import fingerprint
from tasklet_runner.sandbox.precompiled import open_precompiled


@dataclass(frozen=True)
class Code:
    """Native code behind a descriptor of the `CodeShelf`: a sealed memfd, or a file of the image that none may write.

    `compile_milliseconds`: 0 when it was compiled elsewhere.
    """

    descriptor: int
    compile_milliseconds: int = 0


class CodeShelf:
    """Native code by module (SHA-256). Two connections that ask for one module share one compilation."""

    def __init__(self, bounds: CompileBounds) -> None:
        self._bounds = bounds
        self._codes: dict[str, asyncio.Task[Code]] = {}
        self._children: set[CompileChild] = set()

    def known(self, module: str) -> bool:
        """True when the module's code is here or on its way."""
        return module in self._codes

    def open(self, module: str, encrypted: Path, key: bytes) -> bool:
        """Take code that another member made; False when it is of another engine, module or key."""
        if module in self._codes:
            return True
        descriptor = decrypt_code(key, encrypted.read_bytes(), associated_data(module, fingerprint()))
        if descriptor is None:
            return False
        self._codes[module] = asyncio.ensure_future(_at_hand(descriptor))
        return True

    async def get(self, module: str, wasm: Callable[[], Path], *, snapshots: bool = False) -> Code:
        """The module's code; a bounded child compiles it if it is neither here nor in the image. Raises FaultError.

        `snapshots`: `module` names the code of a module whose state is exposed, if it exports `step`.
        """
        if module not in self._codes:
            shipped = open_precompiled(module)
            work = self._compile(wasm(), snapshots) if shipped is None else _at_hand(shipped)
            self._codes[module] = asyncio.create_task(work)
        try:
            return await asyncio.shield(self._codes[module])
        except Exception:
            # Not kept: the next program with this module hears the reason anew.
            self._codes.pop(module, None)
            raise

    async def close(self) -> None:
        """Forget all code; compilations that are under way are killed."""
        tasks = list(self._codes.values())
        self._codes.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                os.close((await task).descriptor)
        for child in list(self._children):
            child.kill()
        self._children.clear()

    async def _compile(self, wasm: Path, snapshots: bool) -> Code:
        started = time.monotonic()
        child = CompileChild.start(wasm, self._bounds, snapshots=snapshots)
        self._children.add(child)
        try:
            await readable(child.fileno())
            descriptor = child.finish()
        finally:
            self._children.discard(child)
            child.kill()
        return Code(descriptor, max(1, round((time.monotonic() - started) * 1000)))


async def _at_hand(descriptor: int) -> Code:
    return Code(descriptor)


async def readable(descriptor: int) -> None:
    """Wait until a descriptor can be read."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
