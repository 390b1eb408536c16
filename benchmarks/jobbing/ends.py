"""What a job leaves behind, over time: seen by watches that know nothing but its object, and listed at the end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.claiming.counters import samples
from benchmarks.jobbing.rig import KEPT, Bench
from benchmarks.jobbing.sightings import PATIENCE_SECONDS, Object, Sighting
from benchmarks.tables import Row, Table

LOOKS_SECONDS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
MEMBERS = 4
LOOK_SECONDS = 0.005

Count = Callable[[Sequence[Sighting], Sighting], int]


@dataclass(frozen=True)
class Leavings:
    """From Complete until the operator counted no member under lease any more, and until each lease of the job said
    that it is released, its pods and volumes seen gone; the members that its leases ever had.
    """

    zero_milliseconds: float
    released_milliseconds: float
    members: frozenset[str]


def leavings(bench: Bench, end: Sighting) -> Leavings:
    """Wait until each lease of the job is released or gone. No other job may have any."""
    zero = _at_zero(bench)
    uids = {one.uid for one in bench.seen.log if one.plural == "leases" and end.uid in one.owners}
    over = [bench.seen.until(partial(_is_over, uid), "the job's leases are released").at for uid in uids]
    seen = [one for one in bench.seen.log if one.uid in uids]
    names = frozenset(member["name"] for one in seen for member in one.status.get("members") or ())
    return Leavings((zero - end.at) * 1000, (max([end.at, *over]) - end.at) * 1000, names)


def left(bench: Bench, table: Table) -> None:
    """A job on several members, with its outputs on a volume, looked at from outside after its end."""
    bench.pools(MEMBERS, volumes=1)
    pools = {one["metadata"]["name"] for one in bench.seen.listing("pods")}
    chunks = bench.sizes.left
    name, _ = bench.job("line", chunks, parallelism=MEMBERS, output=KEPT)
    end = bench.complete(name)
    gone = leavings(bench, end)
    told = bench.seen.until(
        lambda one: one.name == name and one.status.get("receipt", {}).get("members", 0) >= len(gone.members),
        "the receipt has all members",
    ).status["receipt"]
    time.sleep(max(0.0, end.at + bench.sizes.look_seconds - time.monotonic()))
    table.add(
        Row("members under a job's leases at zero after Complete", f"{gone.zero_milliseconds:.0f} ms", "", "", "200 ms")
    )
    released = f"{gone.released_milliseconds:.0f} ms"
    table.add(Row("its leases say Released, its own pods and volumes seen gone", released, "", "", "10 s"))
    table.add(Row("Lease objects that say Bound", _over_time(bench, end, _held), "0"))
    table.add(Row("pods that are not on their way out", _over_time(bench, end, _pods), str(len(pools)), "", "in 10 s"))
    table.add(Row("volume claims", _over_time(bench, end, _claims), "1", "", "in 10 s"))
    figure = f"{told['members']} members, {told['tasklets']:,} tasklets, {told['volumes']} volumes, "
    beside = f"{len(gone.members)} members, {chunks:,} tasklets, 1 volume, {_listed(bench, end, gone)} left"
    table.add(
        Row("its receipt, beside a listing", f"{figure}{len(told['unverified'])} unverified", beside, "", "the same")
    )
    bench.clear(name)


def _at_zero(bench: Bench) -> float:
    """The monotonic instant at which the operator's gauges were first seen at zero."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(value for name, value in samples(bench.health).items() if "_leases_active" in name):
        assert time.monotonic() < deadline, "members are under lease for ever"
        time.sleep(LOOK_SECONDS)
    return time.monotonic()


def _is_over(uid: str, one: Sighting) -> bool:
    return one.uid == uid and (one.gone or one.is_true("Released"))


def _over_time(bench: Bench, end: Sighting, count: Count) -> str:
    looks = [seconds for seconds in LOOKS_SECONDS if seconds <= bench.sizes.look_seconds]
    told = [f"{count(bench.seen.at(end.at + seconds), end)} at {seconds:g} s" for seconds in looks]
    return ", ".join(told)


def _held(there: Sequence[Sighting], end: Sighting) -> int:
    mine = [one for one in there if one.plural == "leases" and end.uid in one.owners]
    return sum(bool(one.status.get("members")) and not one.is_true("Released") for one in mine)


def _pods(there: Sequence[Sighting], end: Sighting) -> int:
    return sum(one.plural == "pods" and "deletionTimestamp" not in one.body["metadata"] for one in there)


def _claims(there: Sequence[Sighting], end: Sighting) -> int:
    return sum(one.plural == "persistentvolumeclaims" for one in there)


def _listed(bench: Bench, end: Sighting, gone: Leavings) -> int:
    """Pods and volume claims that the job had of its own or that serve it yet, asked of the server itself."""
    leases = {one["metadata"]["uid"] for one in bench.seen.listing("leases") if end.uid in _owners(one)}
    objects = [one for plural in ("pods", "persistentvolumeclaims") for one in bench.seen.listing(plural)]
    return sum(bool(leases & set(_owners(one))) for one in objects)


def _owners(body: Object) -> list[str]:
    return [one["uid"] for one in body["metadata"].get("ownerReferences") or ()]
