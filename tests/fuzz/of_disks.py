"""What is read from disks and volumes: checkpoints, snapshots, the index of a store; and batches, which become both."""

import asyncio
import hashlib
import itertools
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasklet_runner.durable.deltas import changed_runs, decode_table, encode, table_bytes
from tasklet_runner.durable.format import HEADER_BYTES
from tasklet_runner.durable.slots import Slots
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import NewObject
from tasklet_runner.wire.batches import BatchDecoder, ObjectHead, framed
from tasklet_runner.wire.errors import CheckpointDamagedError, CheckpointVersionError, LeaseGridError, ProtocolError
from tasklet_runner.wire.queues import Message
from tests.fuzz.decoder import Decoder, Try, pure
from tests.support.checkpoints import KEY, log, overwrite, save, save_delta, slot
from tests.support.stores import commit

_PAYLOADS = (b"a" * 30_000, b"a" * 28_000 + b"b" * 2_000, b"c" * 4096 + b"a" * 23_904 + b"b" * 3_000)
_SIZES = struct.Struct("<IB")
"""Before the bytes of a slot and of its log in one input: how many are the slot's, and whether both get good sums."""


def _chain(directory: Path) -> None:
    directory.mkdir()
    slots = Slots(directory, KEY)
    save(slots, 1, _PAYLOADS[0])
    save_delta(slots, 2, _PAYLOADS[0], _PAYLOADS[1])
    save_delta(slots, 3, _PAYLOADS[1], _PAYLOADS[2])


def _slot_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made) / "checkpoints"
        _chain(directory)
        full, deltas = slot(directory, "a").read_bytes(), log(directory, "a").read_bytes()
    return [_SIZES.pack(len(full), trusted) + full + deltas for trusted in (0, 1)]


def _resummed(record: bytes) -> bytes:
    """The record whose header has its checksum, whatever it says: as a writer with a defect would leave it."""
    fields = record[: HEADER_BYTES - 32]
    return fields + hashlib.sha256(fields).digest() + record[HEADER_BYTES:] if len(record) >= HEADER_BYTES else record


@contextmanager
def _slots(root: Path) -> Iterator[Try]:
    directory = root / "checkpoints"
    _chain(directory)

    def judge(data: bytes) -> bool:
        size, trusted = _SIZES.unpack_from(data.ljust(_SIZES.size, b"\0"))
        rest = data[_SIZES.size :]
        full, deltas = rest[:size], rest[size:]
        overwrite(slot(directory, "a"), _resummed(full) if trusted & 1 else full)
        overwrite(log(directory, "a"), _resummed(deltas) if trusted & 1 else deltas)
        return _restored(directory, trusted=bool(trusted & 1))

    yield judge


def _restored(directory: Path, *, trusted: bool) -> bool:
    try:
        reading = Slots(directory, KEY).open()
    except (CheckpointDamagedError, CheckpointVersionError):
        return False
    assert reading is not None, "there was a checkpoint, and none is said to have been"
    with reading:
        payload = b"".join(reading.pieces())
    assert len(payload) == reading.size
    assert trusted or payload in _PAYLOADS, "damaged bytes were accepted"
    return True


def _delta(data: bytes) -> bool:
    """A table says where runs stand; none of them lies outside, and there are no more than bytes for them."""
    if len(data) < 8 or table_bytes(data[:8]) > len(data):
        return False
    runs = decode_table(data[: table_bytes(data[:8])], len(data), 1 << 20)
    if runs is None:
        return False
    assert all(0 <= run.start < run.stop <= 1 << 20 and run.at + run.stop - run.start <= len(data) for run in runs)
    return True


def _delta_seeds() -> list[bytes]:
    return [encode(changed_runs(old, new), new) for old, new in itertools.pairwise(_PAYLOADS)]


def _batches() -> list[bytes]:
    heads = [ObjectHead("main/0/1/stdout", 5), ObjectHead("k" * 4000, 0, "0" * 32), ObjectHead("\u2028/ü", 3, "f" * 64)]
    return [
        b"".join(framed(head) + b"x" * head.size for head in heads),
        framed(heads[0]) + b"12345",
        b"",
    ]


def _batch(data: bytes) -> bool:
    """However it is cut on its way, the same objects come out, or the same refusal."""
    whole, in_bits = _objects(data, len(data) + 1), _objects(data, 7)
    assert whole == in_bits, "the pieces in which a batch comes change what it says"
    if whole is None:
        return False
    again = b"".join(framed(head) + body for head, body in whole)
    assert _objects(again, len(again) + 1) == whole
    return True


def _objects(data: bytes, step: int) -> list[tuple[ObjectHead, bytes]] | None:
    decoder, found = BatchDecoder(), list[tuple[ObjectHead, bytearray]]()
    try:
        for at in range(0, len(data), step):
            for part in decoder.feed(data[at : at + step]):
                if isinstance(part, ObjectHead):
                    found.append((part, bytearray()))
                else:
                    found[-1][1].extend(part)
    except ProtocolError:
        return None
    return [(head, bytes(body)) for head, body in found] if decoder.between else None


_OBJECTS = [NewObject(f"main/{number}/1/stdout", b"o" * 100 * number) for number in range(4)]


async def _fill(directory: Path) -> None:
    store = DiskStore.open(directory, uid="store-1", quota_bytes=1 << 20, term=1)
    await store.write(_OBJECTS, [commit(0), commit(1)])
    await store.put_value("plan", b"{}")
    store.queues.push("q", [Message("m", b"body")])
    store.take("owner", 2)
    await store.close()


@contextmanager
def _index(root: Path) -> Iterator[Try]:
    with asyncio.Runner() as runner:
        directory = root / "store"
        runner.run(_fill(directory))

        def judge(data: bytes) -> bool:
            (directory / "index.db").write_bytes(data)
            for leftover in ("index.db-wal", "index.db-shm"):
                (directory / leftover).unlink(missing_ok=True)
            return runner.run(_read_all(directory))

        yield judge


async def _read_all(directory: Path) -> bool:
    """Everything that the index leads to, each for itself: what one row cannot say, another may."""
    try:
        store = DiskStore.open(directory, uid="store-1", quota_bytes=1 << 20, term=3)
    except LeaseGridError:
        return False
    try:
        refused = [await _refused(store, item) for item in _OBJECTS] + [await _others_refused(store)]
    finally:
        try:
            await store.close()
        except LeaseGridError:
            refused = [True]
    return not any(refused)


async def _refused(store: DiskStore, item: NewObject) -> bool:
    try:
        data = await store.read(item.key)
    except (LeaseGridError, KeyError):
        return True
    assert data == item.data, "an object is read with other bytes than were written"
    return False


async def _others_refused(store: DiskStore) -> bool:
    refused = False
    for look in (
        lambda: store.commits("main"),
        lambda: store.get_value("plan"),
        lambda: asyncio.to_thread(lambda: (store.owner, store.empty, store.page("", "", 10))),
        lambda: asyncio.to_thread(lambda: store.queues.receive("q", 5, 5.0, 0.0)),
    ):
        try:
            await look()
        except LeaseGridError:
            refused = True
    return refused


def _index_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made) / "store"
        asyncio.run(_fill(directory))
        assert not os.path.getsize(directory / "index.db") % 4096
        return [(directory / "index.db").read_bytes()]


DECODERS = (
    Decoder(
        "checkpoint slots",
        _slot_seeds,
        _slots,
        800,
        (
            "tasklet_runner.durable.chains",
            "tasklet_runner.durable.format",
            "tasklet_runner.durable.deltas",
            "tasklet_runner.durable.slots",
        ),
    ),
    Decoder("deltas", _delta_seeds, pure(_delta), modules=("tasklet_runner.durable.deltas",)),
    Decoder("batches of objects", _batches, pure(_batch), 800, ("tasklet_runner.wire.batches",)),
    Decoder(
        "the index of a store", _index_seeds, _index, 120, ("tasklet_runner.store.index", "tasklet_runner.store.queues")
    ),
)
