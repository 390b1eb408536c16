"""What the tests of the operator's shell share: objects, names of their own, and waiting."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.integration.control_plane import ControlPlane

WAIT_SECONDS = 30.0


def fresh(stem: str) -> str:
    """A name that no other test has: all of the tier share one control plane."""
    return f"{stem}-{uuid4().hex[:8]}"


def lease(name: str, namespace: str = "default", **metadata: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A Lease that waits for a pool that is not there."""
    spec = {"poolRefs": [{"name": "none"}], "count": 1, "holderKey": "A" * 43, "ttlSeconds": 60}
    return {"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec}


def namespaced(plane: ControlPlane, stem: str = "shell") -> str:
    """A new namespace."""
    name = fresh(stem)
    plane.kubectl("create", "namespace", name)
    return name


def through(plane: ControlPlane, port: int, directory: Path) -> Path:
    """A kubeconfig by which the server is reached at this port of 127.0.0.1."""
    kubeconfig = json.loads(plane.kubeconfig.read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path = directory / "kubeconfig"
    path.write_text(json.dumps(kubeconfig))
    return path


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds, within a generous bound."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - the world outside sets no event
            await asyncio.sleep(0.02)
