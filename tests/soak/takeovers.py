"""A program with a `Durable` state at a leased store is stopped, another takes its state over, and the first goes on.

`python -m tests.soak.takeovers ENDPOINT CAPABILITY` is the program; its holder's private key comes on stdin, in hex.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from leasegrid.sdk.durable import Durable, LeasedStore
from tasklet_runner.wire.errors import StoreFencedError
from tests.soak.tally import Findings, Tally, doubled, lost, wrong
from tests.support.faults.processes import stopped
from tests.support.store_members import HeldStore, held_store

KEY = "estimate"
FIRST, SECOND = "first", "second"
PAUSE_SECONDS = 0.02


def campaign(root: Path, tries: int, tally: Tally) -> None:
    """At a Memory store and at a Block store in turn."""
    for number in range(tries):
        place = root / f"takeover-{number}"
        place.mkdir()
        tally.judge(f"take-over {number}", asyncio.run(_taken_over(place, ("Memory", "Block")[number % 2])))


async def _taken_over(place: Path, role: str) -> Findings:
    async with held_store(place, role, seconds=120) as held:
        return await asyncio.to_thread(_story, held)


def _story(held: HeldStore) -> Findings:
    store = LeasedStore(held.rig.endpoint, held.capability(120), held.rig.holder)
    command = [sys.executable, "-m", "tests.soak.takeovers", store.endpoint, store.capability]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(held.rig.holder.private_bytes_raw().hex() + "\n")
        process.stdin.flush()
        kept = [json.loads(process.stdout.readline()) for _ in range(3)]
        with stopped(process.pid):
            mine = _second(store, at_least=kept[-1]["step"])
        said = [json.loads(line) for line in process.stdout]
    findings = mine + wrong([] if said and said[-1] == {"fenced": True} else [f"the first one heard {said[-3:]}"])
    with _opened(store, "nobody") as durable:
        return findings + doubled([f"{durable.state} stands there"] if durable.state["who"] != SECOND else [])


def _second(store: LeasedStore, at_least: int) -> Findings:
    """Goes on where the first one was."""
    with _opened(store, "nobody") as durable:
        findings = lost([f"step {durable.step_count} of {at_least}"] if durable.step_count < at_least else [])
        durable.state["who"] = SECOND
        for _ in range(3):
            durable.step()
            durable.save()
    return findings


def _opened(store: LeasedStore, who: str) -> "Durable[dict[str, str]]":
    return Durable({"who": who, "filling": "x" * 10_000}, store, KEY, registry=CollectorRegistry())


def main(endpoint: str, capability: str) -> None:
    """Keep a checkpoint again and again, until somebody else has the state."""
    holder = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.stdin.readline().strip()))
    with _opened(LeasedStore(endpoint, capability, holder), FIRST) as durable:
        while True:
            time.sleep(PAUSE_SECONDS)
            try:
                durable.step()
                durable.save()
            except StoreFencedError:
                print(json.dumps({"fenced": True}), flush=True)
                return
            print(json.dumps({"step": durable.step_count}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
