"""A broker as a process: `python -m tests.support.broker_child`. Prints its port; ends when its stdin does.

Two namespaces, `flooded` and `polite`; whoever shows the token `holder-<name>` is the user of that name.
"""

import asyncio
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.broker.app import make_broker
from leasegrid_operator.broker.limits import Limits
from leasegrid_operator.broker.serving import BrokerServer
from leasegrid_operator.garbage import keep_what_is_there
from tests.support.broker import FabricDesk, StubFabric, TableGate

HOLDERS = 8
FLOODED, POLITE = "flooded", "polite"


def token_of(name: str) -> str:
    return f"holder-{name}"


async def main() -> None:
    key = Ed25519PrivateKey.generate()
    names = [*map(str, range(HOLDERS)), POLITE]
    gate = TableGate({token_of(name): f"system:serviceaccount:{name}:holder" for name in names})
    desk = FabricDesk({FLOODED: _fabric(key), POLITE: StubFabric(key)}, key)
    limits = Limits()
    keep_what_is_there()
    async with BrokerServer(make_broker(desk, gate, limits), limits, "127.0.0.1", 0) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def _fabric(key: Ed25519PrivateKey) -> StubFabric:
    fabric = StubFabric(key)
    # Its watches wait, as those of leases do to which nothing happens.
    fabric.gate = asyncio.Event()
    return fabric


if __name__ == "__main__":
    asyncio.run(main())
