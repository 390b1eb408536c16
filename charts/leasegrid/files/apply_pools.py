"""Makes a chart's pools what its values say: `apply_pools.py apply|delete FILE`, in a pod, with its account's rights.

FILE: {"instance": the release, "namespaces": [where to look for pools that were taken out], "pools": [InstancePools]}.
Server-side apply, so that what others set and the values leave out (an autoscaler's targetSize) stays as it is.
"""

import json
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVER = "https://kubernetes.default.svc"
PATIENCE_SECONDS = 120
"""New definitions are served some seconds after they were made, and so do new rights take effect."""
PASSING = (403, 404, 409, 429, 500, 502, 503, 504)

Ask = Callable[..., dict]


def asker(server: str = SERVER, account: Path = ACCOUNT) -> Ask:
    """What asks this API server as this account, until it answers; raises what it says at the end of patience."""
    tls = ssl.create_default_context(cafile=str(account / "ca.crt"))

    def ask(method: str, path: str, body: dict | None = None, *, fine: tuple[int, ...] = ()) -> dict:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            token = (account / "token").read_text()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/apply-patch+yaml"}
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"{server}{path}", data, headers, method=method)  # noqa: S310 - https
            try:
                with urllib.request.urlopen(request, timeout=10, context=tls) as answer:  # noqa: S310 - as above
                    return json.load(answer)
            except urllib.error.HTTPError as refusal:
                said = refusal.read().decode(errors="replace")
                if refusal.code in fine:
                    return {}
                if refusal.code not in PASSING or time.monotonic() > deadline:
                    raise SystemExit(f"{method} {path}: {refusal.code} {said}") from refusal
            except OSError as error:
                if time.monotonic() > deadline:
                    raise SystemExit(f"{method} {path}: {error}") from error
            time.sleep(1)

    return ask


def apply(ask: Ask, wanted: dict) -> None:
    """Make and change the pools, and delete those of this release that are not among them any more."""
    for pool in wanted["pools"]:
        name, namespace = pool["metadata"]["name"], pool["metadata"]["namespace"]
        ask(
            "PATCH",
            f"{pools_of(namespace)}/{name}?fieldManager=leasegrid-chart&force=true&fieldValidation=Strict",
            pool,
        )
        print(f"applied {namespace}/{name}")
    keep = {(pool["metadata"]["namespace"], pool["metadata"]["name"]) for pool in wanted["pools"]}
    delete(ask, wanted, keep)


def delete(ask: Ask, wanted: dict, keep: set[tuple[str, str]] = frozenset()) -> None:
    """Delete the pools of this release and with them their members; leases that lose theirs say so."""
    labels = f"app.kubernetes.io/managed-by=Helm,app.kubernetes.io/instance={wanted['instance']}"
    for namespace in wanted["namespaces"]:
        path = pools_of(namespace)
        for pool in ask("GET", f"{path}?labelSelector={urllib.parse.quote(labels)}", fine=(404,)).get("items", ()):
            name = pool["metadata"]["name"]
            if (namespace, name) not in keep:
                ask("DELETE", f"{path}/{name}", fine=(404,))
                print(f"deleted {namespace}/{name}")


def pools_of(namespace: str) -> str:
    """The path of a namespace's pools."""
    return f"/apis/leasegrid.dev/v1alpha1/namespaces/{namespace}/instancepools"


if __name__ == "__main__":
    act = {"apply": apply, "delete": delete}[sys.argv[1]]
    act(asker(), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))
