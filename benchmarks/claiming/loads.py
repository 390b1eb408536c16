"""The loads: each a coroutine on a Door, or on the broker, that returns an Outcome. Deleting is not in the times."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.claiming.door import Door, RefusedByServerError, Seen
from benchmarks.claiming.outcomes import Claim, Outcome
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.protocol import LeaseRequest
from tasklet_runner.wire.errors import LeaseGridError

PATIENCE_SECONDS = 30.0
"""A claim that is not usable by then has failed."""

CALM_SECONDS = 0.15
"""Between rounds: what a round began, resets included, is over."""


@dataclass
class Holder:
    """Who makes the load: `key` is the public key that leases name, `pool` where they are served."""

    door: Door
    fabric: ClusterFabric
    namespace: str
    key: str
    numbers: "itertools.count[int]"
    pool: str = "cpu"

    def name(self) -> str:
        """A name that no lease had."""
        return f"load-{next(self.numbers)}"

    def spec(self, **fields: object) -> dict[str, Any]:
        """A Lease's spec."""
        refs = [{"name": self.pool}]
        return {"poolRefs": refs, "ttlSeconds": 300, "onEmpty": "Queue", "holderKey": self.key, **fields}


async def open_loop(holder: Holder, rate: float, seconds: float, hold: float, seed: int = 1) -> Outcome:
    """Poisson arrivals at so many a second. A claim's time begins when it was due, whatever delays the generator."""
    draw = random.Random(seed)
    began = time.monotonic()
    due, tasks, at = [], [], 0.0
    while (at := at + draw.expovariate(rate)) < seconds:
        due.append(began + at)
    for instant in due:
        await asyncio.sleep(max(0.0, instant - time.monotonic()))
        tasks.append(asyncio.create_task(_claim_and_hold(holder, instant, hold)))
    return _outcome(await asyncio.gather(*tasks), began)


async def burst(holder: Holder, count: int) -> Outcome:
    """So many objects of one member each, made at once."""
    began = time.monotonic()
    names = [holder.name() for _ in range(count)]
    made = await asyncio.gather(*(_claim(holder, name, began) for name in names))
    outcome = _outcome(made, began)
    await _delete(holder, names)
    return outcome


async def rounds(holder: Holder, count: int, width: int) -> Outcome:
    """Rounds of so many claims at once (1: serial claims); between them all are deleted and reset."""
    results: list[Claim | str] = []
    began = time.monotonic()
    for _ in range(count):
        names = [holder.name() for _ in range(width)]
        now = time.monotonic()
        results += await asyncio.gather(*(_claim(holder, name, now) for name in names))
        await _delete(holder, names)
        await asyncio.sleep(CALM_SECONDS if width > 1 else 0.0)
    return _outcome(results, began)


async def gang(holder: Holder, count: int, times: int) -> Outcome:
    """One object of so many members, so many times in turn."""
    results: list[Claim | str] = []
    began = time.monotonic()
    for _ in range(times):
        name = holder.name()
        results.append(await _claim(holder, name, time.monotonic(), count=count))
        await _delete(holder, [name])
        await asyncio.sleep(2 * CALM_SECONDS)
    return _outcome(results, began)


async def broker(holder: Holder, count: int, times: int) -> Outcome:
    """One lease of so many members through the broker, so many times in turn: acquired, then released."""
    results: list[Claim | str] = []
    began = time.monotonic()
    for _ in range(times):
        request = LeaseRequest(
            request_id=holder.name(),
            namespace=holder.namespace,
            holder_key=holder.key,
            count=count,
            min_count=count,
            pools=(holder.pool,),
            on_empty="Queue",
        )
        asked = time.monotonic()
        try:
            view = await holder.fabric.acquire(request)
        except LeaseGridError as error:
            results.append(str(error))
            continue
        results.append(Claim((time.monotonic() - asked) * 1000, view.members[0].name))
        assert len(view.members) == count, view
        await holder.fabric.release(view.uid)
        await asyncio.sleep(2 * CALM_SECONDS if count > 1 else 0.0)
    return _outcome(results, began)


async def expiring(holder: Holder, rate: float, seconds: float, ttl: int) -> Outcome:
    """Claims at that rate which nobody gives back: how late their objects say that they are over."""
    draw = random.Random(2)
    began, tasks, names, at = time.monotonic(), [], [], 0.0
    while (at := at + draw.expovariate(rate)) < seconds:
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        names.append(holder.name())
        tasks.append(asyncio.create_task(_claim(holder, names[-1], began + at, ttlSeconds=ttl)))
    outcome = _outcome(await asyncio.gather(*tasks), began)
    seen = [holder.door.seen[name] for name in names]
    async with asyncio.timeout(PATIENCE_SECONDS + ttl):
        await asyncio.gather(*(one.released.wait() for one in seen))
    late = [(one.released_wall - one.expires) * 1000 for one in seen if one.expires]
    await _delete(holder, names)
    return Outcome(claims=outcome.claims, failures=outcome.failures, seconds=outcome.seconds, late=late)


async def fill(holder: Holder, bound: int, queued: int) -> Outcome:
    """So many leases that get a member, and so many more behind them that wait."""
    began, room = time.monotonic(), asyncio.Semaphore(50)
    lasting = {"ttlSeconds": 3600, "queueTimeoutSeconds": 3600}

    async def make(name: str) -> Seen:
        async with room:
            return await holder.door.create(name, holder.spec(**lasting))

    first = await asyncio.gather(*(make(holder.name()) for _ in range(bound)))
    async with asyncio.timeout(4 * PATIENCE_SECONDS):
        await asyncio.gather(*(one.usable.wait() for one in first))
    usable = time.monotonic() - began
    await asyncio.gather(*(make(holder.name()) for _ in range(queued)))
    return Outcome(seconds=usable, other={"made_seconds": time.monotonic() - began})


async def clear(holder: Holder) -> Outcome:
    """Delete every lease; returns when the watch has shown that all are gone."""
    began = time.monotonic()
    left = [one for one in holder.door.seen.values() if not one.gone.is_set()]
    await holder.door.delete_all()
    answered = time.monotonic() - began
    async with asyncio.timeout(4 * PATIENCE_SECONDS):
        await asyncio.gather(*(one.gone.wait() for one in left))
    holder.door.seen.clear()
    return Outcome(seconds=time.monotonic() - began, other={"answered_seconds": answered})


async def until_served(holder: Holder) -> Outcome:
    """One claim made now, whoever is away."""
    return await burst(holder, 1)


async def bare(holder: Holder, count: int, width: int) -> Outcome:
    """What the API server alone takes: a Lease is made and its status written by the same program, no operator.

    First in turn, then so many at once without end: `per_second` are claims of a create, two writes of a status and a
    delete each, which is what a claim is to the API server here.
    """
    status = _bound_status()
    results: list[Claim | str] = []
    for _ in range(count):
        name, began = holder.name(), time.monotonic()
        seen = await holder.door.create(name, holder.spec())
        await holder.door.patch_status(name, status)
        await seen.usable.wait()
        results.append(Claim((seen.usable_at - began) * 1000, ""))
        await holder.door.delete(name)
    began = time.monotonic()
    await asyncio.gather(*(_bare_lane(holder, status, began + 4.0) for _ in range(width)))
    done = len(holder.door.seen) - count
    outcome = _outcome(results, began)
    return Outcome(claims=outcome.claims, seconds=outcome.seconds, other={"per_second": done / outcome.seconds})


async def _bare_lane(holder: Holder, status: dict[str, Any], until: float) -> None:
    while time.monotonic() < until:
        name = holder.name()
        await holder.door.create(name, holder.spec())
        await holder.door.patch_status(name, status)
        await holder.door.delete(name)


def _bound_status() -> dict[str, Any]:
    """As large as that of a lease of one member."""
    now = "2030-01-01T00:00:00.000000Z"
    words = {"status": "True", "reason": "Bound", "message": "its member is bound", "lastTransitionTime": now}
    return {
        "members": [{"name": "cpu-abcde-1", "endpoint": "http://127.1.0.1:8080", "node": "node-a", "epoch": 1}],
        "capabilities": ["x" * 700],
        "acquireTime": now,
        "expireTime": now,
        "conditions": [{"type": "Satisfiable", **words}, {"type": "Bound", **words}],
    }


async def _claim_and_hold(holder: Holder, due: float, hold: float) -> Claim | str:
    name = holder.name()
    result = await _claim(holder, name, due)
    await asyncio.sleep(hold)
    await _delete(holder, [name])
    return result


async def _claim(holder: Holder, name: str, due: float, **fields: object) -> Claim | str:
    """Until it is usable, or why it is not."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            seen = await holder.door.create(name, holder.spec(**fields))
            await seen.usable.wait()
    except (RefusedByServerError, OSError) as error:
        return str(error)
    except TimeoutError:
        return f"{name} was not usable within {PATIENCE_SECONDS} s"
    return Claim((seen.usable_at - due) * 1000, seen.members[0]) if seen.usable_at else seen.reason


async def _delete(holder: Holder, names: list[str]) -> None:
    """Delete these, and forget them once the watch has shown that they are gone."""
    await asyncio.gather(*(holder.door.delete(name) for name in names))
    async with asyncio.timeout(4 * PATIENCE_SECONDS):
        await asyncio.gather(*(holder.door.seen[name].gone.wait() for name in names))
    for name in names:
        del holder.door.seen[name]


def _outcome(results: list[Claim | str], began: float) -> Outcome:
    claims = [result for result in results if isinstance(result, Claim)]
    failures = [result for result in results if isinstance(result, str)]
    return Outcome(claims=claims, failures=failures, seconds=time.monotonic() - began)


LOADS: dict[str, Callable[..., Awaitable[Outcome]]] = {
    load.__name__: load for load in (open_loop, burst, rounds, gang, broker, expiring, fill, clear, until_served, bare)
}
