"""`helm test`: the API server serves our kinds, and the broker answers. Runs in a pod whose account has no rights."""

import json
import ssl
import sys
import urllib.request
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KINDS = {"InstancePool", "Lease", "Job", "TaskGraph"}


def kinds_served(server: str, account: Path = ACCOUNT) -> set[str]:
    """The kinds of our group that this API server knows."""
    headers = {"Authorization": f"Bearer {(account / 'token').read_text()}"}
    request = urllib.request.Request(f"{server}/apis/leasegrid.dev/v1alpha1", headers=headers)  # noqa: S310 - the pod's own
    tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
    with urllib.request.urlopen(request, timeout=20, context=tls) as answer:  # noqa: S310 - as above
        return {resource["kind"] for resource in json.load(answer)["resources"]} & KINDS


def broker_routes(address: str, authority: str = "", name: str = "") -> list[str]:
    """What the broker says that it can do. By TLS: `authority` vouches for it (a PEM file), under this name."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=20)
    with closing(connection):
        if authority:
            connection.connect()
            tls = ssl.create_default_context(cafile=authority)
            connection.sock = tls.wrap_socket(connection.sock, server_hostname=name)
        connection.request("GET", "/v1/openapi.json")
        return sorted(json.load(connection.getresponse())["paths"])


if __name__ == "__main__":
    missing = KINDS - kinds_served("https://kubernetes.default.svc")
    if missing:
        sys.exit(f"not served: {', '.join(sorted(missing))}; install the definitions: --set crds.enabled=true")
    print(f"the API serves {', '.join(sorted(KINDS))}")
    print(f"the broker at {sys.argv[1]} answers {len(broker_routes(*sys.argv[1:]))} routes")
