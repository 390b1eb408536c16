"""Expansion of `$(NAME)` in arguments and environment values, with the rules of Kubernetes.

Source: `third_party/forked/golang/expansion/expand.go` of Kubernetes. `$(NAME)` becomes the value when NAME is known
and stays as it is when it is not; `$$` becomes `$`, so `$$(NAME)` stays `$(NAME)`; any other `$` is a plain
character. As in a container's `env`, a value may name variables that stand before it; arguments may name all. The
`CHUNK_…` names go before variables of the same name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind

MAX_EXPANDED = 8 * 1024 * 1024
"""So many letters all arguments, or all variables, may have when they are expanded: sixty that each name the one before
twice would have more than all the disks of the world.
"""

CHUNK_NAMES = frozenset({"CHUNK_INDEX", "CHUNK_ID", "CHUNK_PATH", "CHUNK_NAME", "CHUNK_STEM", "CHUNK_ATTEMPT"})


@dataclass(frozen=True)
class ChunkName:
    """A place in a template where a chunk's own value goes."""

    name: str


@dataclass(frozen=True)
class Template:
    """A text with the environment already expanded; what is left are literals and chunk names."""

    parts: tuple[str | ChunkName, ...]

    @property
    def constant(self) -> bool:
        """True when no chunk changes it."""
        return all(isinstance(part, str) for part in self.parts)

    def length(self, values: Mapping[str, str]) -> int:
        """How long the text is for a chunk with these values; 64 for each that is not known yet."""
        return sum(len(part) if isinstance(part, str) else len(values.get(part.name, " " * 64)) for part in self.parts)

    def fill(self, values: Mapping[str, str]) -> str:
        """The text for a chunk with these values of CHUNK_NAMES."""
        return "".join(part if isinstance(part, str) else values[part.name] for part in self.parts)


def compile_environment(environment: Sequence[tuple[str, str]]) -> dict[str, Template]:
    """A template for each variable, in order; of two with one name the later counts, as in Kubernetes.

    Raises FaultError (CapacityExceeded) when all together are too long.
    """
    known: dict[str, Template] = {}
    left = MAX_EXPANDED
    for name, value in environment:
        known[name] = compile_text(value, known, left)
        left -= known[name].length({})
    return known


def compile_arguments(texts: Sequence[str], environment: Mapping[str, Template]) -> list[Template]:
    """A template for each argument. Raises FaultError when all together are too long."""
    found = []
    left = MAX_EXPANDED
    for text in texts:
        found.append(compile_text(text, environment, left))
        left -= found[-1].length({})
    return found


def compile_text(text: str, environment: Mapping[str, Template], most: int = MAX_EXPANDED) -> Template:
    """The template of one argument or value. Raises FaultError when it is longer than `most` without chunk names."""

    def resolve(name: str) -> tuple[str | ChunkName, ...]:
        if name in CHUNK_NAMES:
            return (ChunkName(name),)
        return environment[name].parts if name in environment else (f"$({name})",)

    parts = _parse(text, resolve)
    if sum(len(part) for part in parts if isinstance(part, str)) > most:
        raise too_long()
    return Template(_joined(parts))


def too_long() -> FaultError:
    """CapacityExceeded, for arguments or variables past `MAX_EXPANDED`."""
    return FaultError(
        Fault(
            kind=FaultKind.CAPACITY_EXCEEDED,
            message=f"the arguments, or the variables of the environment, have more than {MAX_EXPANDED:,} letters when"
            " they are expanded",
            remedy="give what is long as the chunk's input, and do not name long variables again and again",
        )
    )


def chunk_values(index: int, attempt: int, chunk_id: str, path: str) -> dict[str, str]:
    """The values of CHUNK_NAMES. The stem is the name without its last suffix; all three are empty without a path."""
    name = path.rpartition("/")[2]
    stem, dot, _ = name.rpartition(".")
    return {
        "CHUNK_INDEX": str(index),
        "CHUNK_ID": chunk_id,
        "CHUNK_PATH": path,
        "CHUNK_NAME": name,
        "CHUNK_STEM": stem if dot and stem else name,
        "CHUNK_ATTEMPT": str(attempt),
    }


def _parse(text: str, resolve: Callable[[str], tuple[str | ChunkName, ...]]) -> list[str | ChunkName]:
    parts: list[str | ChunkName] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(text[position:dollar])
        following = text[dollar + 1 : dollar + 2]
        closing = text.find(")", dollar) if following == "(" else -1
        if closing >= 0:
            parts.extend(resolve(text[dollar + 2 : closing]))
            position = closing + 1
        else:
            parts.append("$" if following in ("$", "") else f"${following}")
            position = dollar + 2
    parts.append(text[position:])
    return parts


def _joined(parts: Sequence[str | ChunkName]) -> tuple[str | ChunkName, ...]:
    joined: list[str | ChunkName] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)
