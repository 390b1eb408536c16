"""The load generator, a process of its own: `python -m benchmarks.claiming.generator` with the options of `main`.

Obeys a JSON object a line, `{"load": name, ...arguments}`, and answers each with an Outcome in a line.
"""

import argparse
import asyncio
import gc
import itertools
import sys
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.claiming.door import Door
from benchmarks.claiming.loads import LOADS, Holder
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.wire.signed import public_text


async def _run(options: argparse.Namespace) -> None:
    key = Ed25519PrivateKey.generate()
    access = BrokerAccess((options.broker,), options.token_file, key, options.namespace, patience_seconds=60.0)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Door(options.kubeconfig, options.namespace) as door, ClusterFabric(access) as fabric:
        holder = Holder(door, fabric, options.namespace, public_text(key), itertools.count(1))
        print("ready", flush=True)
        gc.freeze()
        gc.disable()  # a collection in the middle of a load would stand in the way of what is measured
        while line := await reader.readline():
            words = msgspec.json.decode(line)
            holder.pool = words.pop("pool", "cpu")
            outcome = await LOADS[words.pop("load")](holder, **words)
            print(msgspec.json.encode(outcome).decode(), flush=True)
            gc.collect()


def main() -> None:
    """Run until stdin ends."""
    parser = argparse.ArgumentParser(prog="generator", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--token-file", type=Path, required=True)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
