"""`python -m tests.support.doomed_command INSTANT ARGUMENTS…`: `leasegrid ARGUMENTS`, which kills itself at an instant.

INSTANT is JSON of `Instant`. Nothing in the command knows of it: the function that it names is wrapped from outside.
"""

import functools
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from tests.support.running import Place, Running


@dataclass(frozen=True)
class Instant:
    """Before or after the `number`-th call of a function, `module:Name` or `module:Class.name`.

    `argument`: only calls with this text among the positional arguments count.
    """

    call: str
    when: str = "before"
    number: int = 1
    argument: str = ""


def doomed(place: Place, instant: Instant, *arguments: str) -> Running:
    """Start the command that kills itself then; it ends like any other where that never comes."""
    written = msgspec.json.encode(instant).decode()
    return Running(place, [sys.executable, "-m", "tests.support.doomed_command", written, *arguments])


def _doom(instant: Instant) -> None:
    module, _, path = instant.call.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    setattr(owner, name, _wrapped(getattr(owner, name), instant))


def _wrapped(function: Callable[..., Any], instant: Instant) -> Callable[..., Any]:
    left = instant.number

    def due(arguments: tuple[object, ...], when: str) -> bool:
        nonlocal left
        if instant.argument and instant.argument not in arguments:
            return False
        if when == "before":
            left -= 1
        return left == 0 and when == instant.when

    @functools.wraps(function)
    def called(*arguments: object, **named: object) -> object:
        if due(arguments, "before"):
            _die()
        result = function(*arguments, **named)
        if inspect.iscoroutine(result):
            return _awaited(result, arguments)
        if due(arguments, "after"):
            _die()
        return result

    async def _awaited(result: Awaitable[object], arguments: tuple[object, ...]) -> object:
        given = await result
        if due(arguments, "after"):
            _die()
        return given

    return called


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    _doom(msgspec.json.decode(sys.argv[1], type=Instant))
    from leasegrid.cli.main import main

    sys.argv = ["leasegrid", *sys.argv[2:]]
    main()
