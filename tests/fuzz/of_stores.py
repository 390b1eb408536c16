"""Requests at the door of a leased store: objects, batches, queues, commits, checkpoints, a coordinator's own."""

import msgspec

from tasklet_runner.durable.deltas import changed_runs, encode
from tasklet_runner.wire.batches import BatchRequest, ObjectHead, framed
from tasklet_runner.wire.checkpoints import checkpoint_path
from tasklet_runner.wire.job_store import JOB_PATH, VALUES_PATH, DeleteCheckpoints, Write, WriteObject
from tasklet_runner.wire.neighbours import BATCH_FILES_PATH, BATCH_PLACES_PATH, HandedFile, HandedFiles
from tasklet_runner.wire.queues import (
    QUEUE_BATCHES_PATH,
    Ack,
    AckMany,
    CommitRecord,
    Message,
    Push,
    PushMany,
    Receive,
    ReceiveMany,
    queue_path,
)
from tasklet_runner.wire.store import BATCH_GET_PATH, BATCH_PATH, COMMITS_PATH, LISTING_PATH, object_path
from tests.fuzz.decoder import Decoder
from tests.fuzz.doors import FIELDS, leased

_OLD, _NEW = b"a" * 30_000, b"b" * 100 + b"a" * 29_900
_COMMIT = CommitRecord("main", 0, 1, "0-a")


def _asked(method: str, path: str, body: msgspec.Struct | bytes = b"") -> bytes:
    sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return f"{method} {path}".encode() + FIELDS + sent


def _objects() -> list[bytes]:
    key = object_path("main/0/1/stdout")
    batch = b"".join(framed(ObjectHead(f"main/1/1/{name}", 4)) + b"data" for name in "ab")
    return [
        _asked("PUT", key, b"output"),
        _asked("GET", key),
        _asked("HEAD", key),
        _asked("GET", f"{LISTING_PATH}?prefix=main&after=main/0&limit=10"),
        _asked("POST", BATCH_PATH, batch),
        _asked("POST", BATCH_GET_PATH, BatchRequest(("main/0/1/stdout", "main/1/1/a"))),
        _asked("GET", f"{COMMITS_PATH}?stage=main&first=0&limit=5"),
    ]


def _files() -> list[bytes]:
    handed = HandedFiles((HandedFile("main/2/1/a", 4, bytes(16), b"", "/nowhere/at/all"),))
    places = BatchRequest(("main/0/1/stdout",))
    return [_asked("POST", BATCH_FILES_PATH, msgspec.msgpack.encode(handed)), _asked("POST", BATCH_PLACES_PATH, places)]


def _queues() -> list[bytes]:
    messages = (Message("m1", b"body"), Message("ü/2", b""))
    return [
        _asked("POST", queue_path("q/ü", "push"), Push(messages)),
        _asked("POST", queue_path("q/ü", "receive"), Receive(2, 5.0, 0.0)),
        _asked("POST", queue_path("q/ü", "ack"), Ack(("1.1", "2.1"), _COMMIT)),
        _asked("POST", f"{QUEUE_BATCHES_PATH}push", PushMany({"q": messages, "r": ()}, close=False)),
        _asked("POST", f"{QUEUE_BATCHES_PATH}receive", ReceiveMany(("q", "r"), 3, 0.001, 0.0)),
        _asked("POST", f"{QUEUE_BATCHES_PATH}ack", AckMany({"q": ("3.1",)})),
        _asked("POST", queue_path("done", "close")),
    ]


def _checkpoints() -> list[bytes]:
    path = checkpoint_path("main/7")
    delta = encode(changed_runs(_OLD, _NEW), _NEW)
    return [
        _asked("PUT", f"{path}?generation=1", _OLD),
        _asked("POST", f"{path}/deltas?generation=2&base=1&size={len(_NEW)}", delta),
        _asked("GET", path),
        _asked("DELETE", path),
        _asked("POST", f"{path}/epoch"),
    ]


def _job() -> list[bytes]:
    write = Write((WriteObject("main/5/1/stdout", b"x"),), (_COMMIT,))
    return [
        _asked("POST", f"{JOB_PATH}open"),
        _asked("POST", f"{JOB_PATH}write", msgspec.msgpack.encode(write)),
        _asked("POST", f"{JOB_PATH}drop-uncommitted"),
        _asked("POST", f"{JOB_PATH}delete-checkpoints", DeleteCheckpoints(("main/7", "other"))),
        _asked("GET", f"{JOB_PATH}usage"),
        _asked("PUT", f"{VALUES_PATH}plan", b"{}"),
        _asked("GET", f"{VALUES_PATH}plan"),
    ]


_STORE = (
    "tasklet_runner.store.serving",
    "tasklet_runner.store.batch_serving",
    "tasklet_runner.store.checkpoint_serving",
)
_MEMBER = ("tasklet_runner.member.queue_door", "tasklet_runner.member.job_door")

DECODERS = (
    Decoder("requests for objects and batches", _objects, leased, 120, _STORE),
    Decoder("requests to queues", _queues, leased, 120, _MEMBER),
    Decoder("requests for checkpoints", _checkpoints, leased, 60, _STORE),
    Decoder("requests of coordinators to their store", _job, leased, 60, _MEMBER),
    Decoder("files that change hands", _files, leased, 60, _STORE, sound=False),
)
