"""Whether the watches still bring what happens: the rule behind the operator's liveness. No I/O; the clock is given.

A watch that has died in silence is the worst state of an operator: all looks well and nothing happens. Two signs
show it, and neither shows an API server that is away, which a restart would not mend (and during which members are
renewed and released all the same):

- Each watch ends at the server's time-out and is asked for anew, also while the server is away, then as a further
  try. A kind that is not asked for again for longer than that has lost the loop that watches it.
- A write of ours that the server accepted comes back through the watch with its resourceVersion, or a later one.
  When it does not, the stream is open but carries nothing. A stream of which nothing is heard is opened anew after
  a while, so this too mends itself unless the loop is broken.

Resource versions of one kind are compared as numbers, as Kubernetes allows from 1.35 on (KEP-5504) and as etcd has
always numbered them; one that is no number is left out.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from leasegrid_operator.resources import Resource

ASKED_AGAIN_SECONDS = 300.0
"""Twice the longest time that a healthy watch takes to be asked for again, and a minute of a busy machine."""
COMES_BACK_SECONDS = 150.0
"""Twice the silence after which a watch is opened anew."""


@dataclass
class _Kind:
    asked: float
    seen: int = 0
    written: int = 0
    waiting_since: float = field(default=0.0)


class WatchProgress:
    """What was asked, written and seen of each watched kind. Instants are seconds of one monotonic clock."""

    def __init__(self, resources: Collection[Resource], now: float) -> None:
        self._kinds = {resource: _Kind(asked=now) for resource in resources}

    def asked(self, resource: Resource, now: float) -> None:
        """The list or the watch of the kind was requested."""
        self._kinds[resource].asked = now

    def written(self, resource: Resource, version: str, now: float) -> None:
        """The server accepted a write and answered with this resourceVersion; kinds that are not watched: no-op."""
        kind, number = self._kinds.get(resource), _number(version)
        if kind is None or number <= kind.seen:
            return
        if kind.written <= kind.seen:
            kind.waiting_since = now
        kind.written = max(kind.written, number)

    def seen(self, resource: Resource, version: str, now: float) -> None:
        """The watch brought an object with this resourceVersion."""
        kind = self._kinds[resource]
        kind.seen = max(kind.seen, _number(version))
        kind.waiting_since = now

    def stalled(self, now: float) -> tuple[str, ...]:
        """What has stopped, in words; empty while all goes on."""
        return tuple(
            words for resource, kind in self._kinds.items() for words in _stalled(resource.plural, kind, now) if words
        )


def _stalled(plural: str, kind: _Kind, now: float) -> tuple[str, ...]:
    quiet, silent = now - kind.asked, now - kind.waiting_since
    lost = f"the watch of {plural} was not asked for again for {quiet:.0f} s" if quiet > ASKED_AGAIN_SECONDS else ""
    unseen = kind.written > kind.seen and silent > COMES_BACK_SECONDS
    dumb = f"the watch of {plural} has not shown our own writes for {silent:.0f} s" if unseen else ""
    return (lost, dumb)


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0
