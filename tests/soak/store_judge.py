"""Opens a store after a fault and compares it with what was said of it."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import CommitRecord, all_commits
from tasklet_runner.wire.errors import LeaseGridError, StoreError, StoreFencedError
from tasklet_runner.wire.queues import Message
from tests.soak.driving import Scenario
from tests.soak.store_child import BATCHES, COMMITS, CONSUMED, MESSAGES, QUOTA, UID, content
from tests.soak.tally import Findings, doubled, lost, wrong

LATER = 1_000_000.0


def after_kill(directory: Path, said: Sequence[str]) -> Findings:
    """All that was said counts."""
    return asyncio.run(_judged(directory / "store", _kept(said, {"written", "synced"})))


def after_cut(directory: Path, said: Sequence[str]) -> Findings:
    """What was synced counts."""
    return asyncio.run(_judged(directory / "store", _kept(said, {"synced"})))


def _kept(said: Sequence[str], counting: set[str]) -> set[tuple[str, str | int]]:
    spoken = [json.loads(line) for line in said]
    return {(line["what"], line["which"]) for line in spoken if line["how"] in counting}


async def _judged(directory: Path, kept: set[tuple[str, str | int]]) -> Findings:
    if not directory.exists():
        return lost(f"no store, but {what}" for what in kept)
    terms = [int(which) for what, which in kept if what == "term"]
    findings = await _fencing(directory, max(terms, default=1))
    try:
        store = DiskStore.open(directory, uid=UID, quota_bytes=QUOTA, term=3)
    except LeaseGridError as error:
        return findings + lost([f"the store cannot be opened: {error}"])
    try:
        findings += await _objects(store, kept) + await _commits(store, kept)
        findings += lost(await _value(store, kept)) + await _queue(store, kept)
        findings += wrong(await _sums(store, directory))
    finally:
        await store.close()
    return findings


async def _fencing(directory: Path, term: int) -> Findings:
    if term < 2:
        return Findings()
    try:
        store = DiskStore.open(directory, uid=UID, quota_bytes=QUOTA, term=term - 1)
    except StoreFencedError:
        return Findings()
    await store.close()
    return wrong([f"opened at term {term - 1}, though term {term} was taken"])


async def _objects(store: DiskStore, kept: set[tuple[str, str | int]]) -> Findings:
    findings = Findings()
    for batch, members in BATCHES.items():
        there = {key for key in members if await _is_there(store, key)}
        if there and there != set(members):
            findings += wrong([f"batch {batch} is there in part: {sorted(there)}"])
        if ("batch", batch) in kept and there != set(members) and batch != "late":
            findings += lost([f"batch {batch}: {sorted(there)} of {sorted(members)}"])
        for key in there:
            findings += lost(await _other_bytes(store, key, members[key]))
    return findings


async def _other_bytes(store: DiskStore, key: str, size: int) -> list[str]:
    try:
        return [] if await store.read(key) == content(key, size) else [f"{key} holds other bytes"]
    except StoreError as error:
        return [f"{key} cannot be read: {error}"]


async def _is_there(store: DiskStore, key: str) -> bool:
    try:
        await store.stat(key)
    except KeyError:
        return False
    return True


async def _commits(store: DiskStore, kept: set[tuple[str, str | int]]) -> Findings:
    found = {record.index: record async for record in all_commits(store, "main")}
    findings = Findings()
    for batch, pairs in COMMITS.items():
        for index, attempt in pairs:
            if ("batch", batch) in kept and index not in found:
                findings += lost([f"commit {index}/{attempt}"])
            if index in found and index != 2:
                missing = [key for key in BATCHES[batch] if not await _is_there(store, key)]
                findings += wrong(f"commit {index} without {key}" for key in missing)
    if (winner := found.get(2)) is not None:
        return findings + await _winner(store, winner, ("batch", "winning") in kept)
    late = [key for key in BATCHES["late"] if ("batch", "late") in kept and not await _is_there(store, key)]
    return findings + lost(late)


async def _winner(store: DiskStore, winner: CommitRecord, acknowledged: bool) -> Findings:
    """Of two attempts one is visible, and the objects of the other are gone."""
    findings = doubled(["attempt 1 took the place of 2"] if acknowledged and winner.attempt != 2 else [])
    other = BATCHES["late" if winner.attempt == 2 else "winning"]
    findings += doubled([f"{key} beside the visible attempt" for key in other if await _is_there(store, key)])
    return findings


async def _value(store: DiskStore, kept: set[tuple[str, str | int]]) -> Iterator[str]:
    value = int(await store.get_value("progress") or b"0")
    least = max((int(which) for what, which in kept if what == "value"), default=0)
    return iter([f"value {least}: {value} is there"] if value < least else [])


async def _queue(store: DiskStore, kept: set[tuple[str, str | int]]) -> Findings:
    """Messages that were consumed come never again, all others do; consumed they are together with the commit."""
    pushed = ("pushed", len(MESSAGES)) in kept
    consumed = [record async for record in all_commits(store, "reduce")]
    left = store.queues.receive("q", 1, 0.001, 0.0).left
    delivered = [message.id for message in store.queues.receive("q", 100, 1.0, LATER).messages]
    due = list(MESSAGES[CONSUMED:] if consumed else MESSAGES)
    findings = doubled(f"{name} is delivered, and was consumed" for name in delivered if name not in due)
    findings += doubled(
        f"{name} is delivered twice" for name in {name for name in delivered if delivered.count(name) > 1}
    )
    if pushed or delivered:
        findings += lost(f"message {name}" for name in due if name not in delivered)
    if ("consumed", CONSUMED) in kept and not consumed:
        findings += lost(["the commit of the consumed messages"])
    if left != len(delivered):
        findings += wrong([f"{left} messages are said to be left, {len(delivered)} came"])
    again = store.queues.push("q", [Message(name, name.encode()) for name in MESSAGES]) if pushed else 0
    return findings + doubled([f"{again} messages could be pushed again"] if again else [])


async def _sums(store: DiskStore, directory: Path) -> Iterator[str]:
    listed = sum(found.size for found in store.page("", "", 1000))
    bodies = sum(len(message.id) for message in store.queues.receive("q", 100, 1.0, 2 * LATER).messages)
    used = await store.used_bytes()
    on_disk = sum(path.stat().st_size for path in (directory / "files").rglob("*") if path.is_file())
    found = []
    if used != listed + bodies:
        found.append(f"{used} bytes are said to be used, {listed} + {bodies} are")
    if on_disk > listed:
        found.append(f"{on_disk} bytes in files for {listed} bytes of objects")
    return iter(found)


STORE = Scenario("tests.soak.store_child:run", after_kill, after_cut)
"""Batches, objects in pieces, commits of competing attempts, values, a queue, two terms."""
