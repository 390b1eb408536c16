"""A program with a Durable state: counts, saves after each step, and says so on stdout.

`python -m tests.support.durable_worker '{"store": …, "key": …, "total": …}'`; `store` is a directory, or what
`leased_words` gives. Ends with `done <sum>`, or with `fenced`, or with `lost`.
"""

import json
import sys
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.sdk.durable import Durable, LeasedStore, StoreLostError
from leasegrid.sdk.targets import Store
from tasklet_runner.wire.errors import StoreFencedError


def leased_words(store: LeasedStore) -> dict[str, str]:
    """A leased store as words that a program can be given."""
    return {
        "endpoint": store.endpoint,
        "capability": store.capability,
        "holder_key": store.holder_key.private_bytes_raw().hex(),
    }


def _store(words: Any) -> Store:  # noqa: ANN401  # as JSON has it
    if isinstance(words, str):
        return words
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(words["holder_key"]))
    return LeasedStore(words["endpoint"], words["capability"], key)


def main() -> None:
    """Steps until the end, or until somebody else has taken over."""
    asked = json.loads(sys.argv[1])
    try:
        with Durable({"sum": 0}, _store(asked["store"]), asked["key"], every_steps=1) as durable:
            print(f"begin {durable.step_count}", flush=True)
            for step in durable.steps(asked["total"]):
                durable.state["sum"] += step * step
                print(f"step {step}", flush=True)
                time.sleep(asked.get("seconds", 0))
            print(f"done {durable.state['sum']}", flush=True)
    except StoreFencedError:
        print("fenced", flush=True)
    except StoreLostError:
        print("lost", flush=True)


if __name__ == "__main__":
    main()
