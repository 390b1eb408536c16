"""Options and values that several commands share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., object])


@dataclass
class Session:
    """What the command line said apart from the command's own options."""

    verbose: bool = False


class RunOptions(TypedDict):
    """The options of `leasegrid run` by their names; see `requests.RunRequest`."""

    results: Path | None
    timeline: str | None
    as_json: bool
    workers: int | None
    keep_going: bool
    restart: bool


def verbose_option(command: _Command) -> _Command:
    """`-v`, before or after the command's name."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Show a traceback for errors in leasegrid itself.",
    )(command)


def _remember(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).verbose = True


files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...")
json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document to stdout.")
