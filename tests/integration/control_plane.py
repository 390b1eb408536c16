"""A real Kubernetes control plane as processes: etcd, kube-apiserver and, when asked, kube-controller-manager.

The binaries come from the folder in KUBEBUILDER_ASSETS, the convention of envtest (`setup-envtest use -p path`). All
listen on loopback; all end, by their ids, with the plane, whose directory then is removed.
"""

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.api_client import ApiClient

TOKEN = "integration"  # noqa: S105 - the password of a server that lives for one test run, on loopback
START_SECONDS = 60
"""Generous: a server starts in 3 s on an idle machine."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


SERVER = "kube-apiserver"


@dataclass(frozen=True)
class User:
    """Somebody with a token, and with no rights but those of `groups` and of what is granted later."""

    name: str
    token: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlaneOptions:
    """`controllers`: garbage collection, volumes, accounts and quotas too. Flags are appended to a process's own.

    `prepare` is called before the controllers start: of kinds that come later they learn half a minute late, and do
    not collect what their objects own.
    """

    controllers: bool = False
    prepare: "Callable[[ControlPlane], None]" = lambda plane: None
    users: Sequence[User] = ()
    server_flags: Sequence[str] = ()
    controller_flags: Sequence[str] = ()


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane: `api` speaks to it, `kubeconfig` and `assets` are for kubectl.

    `store`: where etcd answers, its `/metrics` too.
    """

    assets: Path
    directory: Path
    api: ApiClient
    store: str
    processes: "Processes"

    def stop_server(self, *, kill: bool = False) -> None:
        """Take the API server away; etcd and what it holds stay. `kill`: as in a crash; in order it takes seconds."""
        self.processes.stop(SERVER, kill=kill)

    def start_server(self) -> None:
        """Bring it back, at the same address; returns when it serves."""
        self.processes.start_again(SERVER)
        self.processes.wait_for(self.api)

    def speaking_as(self, token: str) -> ApiClient:
        """The same server for another user."""
        return replace(self.api, token=token)

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of the cluster's administrator."""
        return self.directory / "kubeconfig"

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl prints; `given` is its stdin. A failure raises with what it said."""
        command = [str(self.assets / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        # Its cache of what the server can do would outlive the server.
        environment = {"HOME": str(self.directory), "PATH": "/usr/bin:/bin"}
        ended = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {ended.stderr}")
        return ended.stdout


@contextmanager
def running(
    assets: Path, *, controllers: bool = False, options: PlaneOptions = PlaneOptions()
) -> Iterator[ControlPlane]:
    """A control plane for the time of a with block; `controllers`: with garbage collection and volumes too."""
    with tempfile.TemporaryDirectory(prefix="leasegrid-plane-") as name:
        directory, processes = Path(name), Processes(assets, Path(name))
        wanted = replace(options, controllers=controllers or options.controllers)
        try:
            plane = _started(processes, assets, directory, wanted)
            yield plane
            _remove_volumes(plane)
        finally:
            processes.end()


def _remove_volumes(plane: ControlPlane) -> None:
    """The directories of volumes that nobody will delete any more, as the controllers end too."""
    if not plane.api.is_ready():
        return
    listed = plane.api.ask("GET", "/api/v1/persistentvolumes").body["items"]
    assert isinstance(listed, list)
    for volume in listed:
        shutil.rmtree(volume["spec"]["hostPath"]["path"], ignore_errors=True)


def _started(processes: "Processes", assets: Path, directory: Path, options: PlaneOptions) -> ControlPlane:
    store, peers, door = free_ports(3)
    key = directory / "accounts.key"
    key.write_bytes(_private_key())
    (directory / "tokens.csv").write_text(_tokens(User("admin", TOKEN, ("system:masters",)), *options.users))
    processes.start("etcd", *_etcd_flags(directory, store, peers))
    processes.start(SERVER, *_server_flags(directory, store, door, key), *options.server_flags)
    certificate = directory / "certs" / "apiserver.crt"
    api = ApiClient(f"https://127.0.0.1:{door}", TOKEN, certificate)
    plane = ControlPlane(assets, directory, api, f"http://127.0.0.1:{store}", processes)
    processes.wait_for(api)
    plane.kubeconfig.write_text(json.dumps(kubeconfig_of(api)))
    options.prepare(plane)
    if options.controllers:
        flags = [*_controller_flags(plane, key, certificate), *options.controller_flags]
        processes.start("kube-controller-manager", *flags)
    return plane


def _tokens(*users: User) -> str:
    return "".join(f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"\n' for user in users)


def _etcd_flags(directory: Path, store: int, peers: int) -> list[str]:
    return [
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{store}",
        f"--advertise-client-urls=http://127.0.0.1:{store}",
        f"--listen-peer-urls=http://127.0.0.1:{peers}",
        "--unsafe-no-fsync",
    ]


def _server_flags(directory: Path, store: int, door: int, key: Path) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{store}",
        f"--cert-dir={directory / 'certs'}",
        f"--secure-port={door}",
        "--bind-address=127.0.0.1",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
    ]


def _controller_flags(plane: ControlPlane, key: Path, certificate: Path) -> list[str]:
    return [
        f"--kubeconfig={plane.kubeconfig}",
        f"--service-account-private-key-file={key}",
        f"--root-ca-file={certificate}",
        "--enable-hostpath-provisioner",
        "--leader-elect=false",
        "--secure-port=0",
    ]


def kubeconfig_of(api: ApiClient, namespace: str = "default") -> dict[str, object]:
    """A kubeconfig of the client's user."""
    cluster = {"server": api.address, "certificate-authority": str(api.certificate)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "plane",
        "clusters": [{"name": "plane", "cluster": cluster}],
        "users": [{"name": "user", "user": {"token": api.token}}],
        "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "user", "namespace": namespace}}],
    }


def _private_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Processes:
    """The processes of a plane, each with a log of its own; ended in the reverse order of their start."""

    def __init__(self, assets: Path, directory: Path) -> None:
        self._assets = assets
        self._directory = directory
        self._flags: dict[str, tuple[str, ...]] = {}
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def pid(self, name: str) -> int:
        """The process's id, for those who count what it uses."""
        return self._started[name].pid

    def start_again(self, name: str) -> None:
        """Start what was stopped, as it was started before."""
        self.start(name, *self._flags[name])

    def stop(self, name: str, *, kill: bool) -> None:
        """End one, and return when it is gone."""
        process = self._started.pop(name)
        if kill:
            process.kill()
        _end(process)

    def start(self, name: str, *flags: str) -> None:
        """Start a binary of the assets; what it says is appended to its log."""
        self._flags[name] = flags
        with self._log(name).open("ab") as log:
            # Ends with the tests also when these are killed and clean up nothing.
            process = subprocess.Popen(
                [str(self._assets / name), *flags],
                stdout=log,
                stderr=log,
                cwd=self._directory,
                preexec_fn=_die_with_tests,
            )
        self._started[name] = process

    def wait_for(self, api: ApiClient) -> None:
        """Wait until the API is served. Raises RuntimeError with the last words of what ended instead."""
        deadline = time.monotonic() + START_SECONDS
        while not api.is_ready():
            for name, process in self._started.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended with {process.returncode}: {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"kube-apiserver is not ready: {self._last_words('kube-apiserver')}")
            time.sleep(0.05)

    def end(self) -> None:
        """End all."""
        for process in reversed(self._started.values()):
            _end(process)

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _last_words(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")[-2000:]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _die_with_tests() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
