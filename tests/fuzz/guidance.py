"""Which lines of a decoder an input reached: one that reaches a new line is a seed for more."""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Trace = Callable[[FrameType, str, Any], Any]


class Lines:
    """Lines of some modules, of those that run in the main thread."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._files = frozenset(str(importlib.import_module(name).__file__) for name in modules)
        self._seen: set[tuple[str, int]] = set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count those that run in the block."""
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    @property
    def count(self) -> int:
        """How many were reached so far."""
        return len(self._seen)

    def _call(self, frame: FrameType, _: str, __: object) -> Trace | None:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, _: object) -> Trace:
        if event == "line":
            self._seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line
