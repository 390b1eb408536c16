"""Jobs on a rig of real members: modules by URL from this process, and what tests ask of a job."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tests.integration.control_plane import ControlPlane
from tests.integration.job_stores import leftovers
from tests.integration.operator_rig import Object, OperatorRig, operator_rig
from tests.integration.store_holding import CLASS, block_template
from tests.support.cluster.kubelet import Kubelet
from tests.support.cluster.plane import storage_class

REAL = {"cpu": "1", "memory": "1Gi"}
"""What a real member has."""


class _Modules(http.server.ThreadingHTTPServer):
    daemon_threads = True
    files: dict[str, bytes]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Modules

    def do_GET(self) -> None:
        found = self.server.files.get(self.path)
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


@contextmanager
def module_server(files: dict[str, bytes]) -> Iterator[str]:
    """Serves these on loopback, by path; the URL before the path."""
    server = _Modules(("127.0.0.1", 0), _Handler)
    server.files = files
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class JobHouse:
    """A rig with a pool of real members, and where its modules are."""

    rig: OperatorRig
    url: str

    def job(self, name: str, module: str = "echo", *, count: int = 3, **spec: object) -> Object:
        """Make a Job of a module over so many lines of input."""
        usual: Object = {
            "tasklet": {"module": {"url": f"{self.url}/{module}"}},
            "input": {"items": [{"value": f"{number}"} for number in range(count)]},
            "parallelism": 2,
            "output": {"store": "None"},
        }
        return self.rig.make("Job", "jobs", {"name": name}, {**usual, **spec})

    def graph(self, name: str, tasks: list[Object], **spec: object) -> Object:
        """Make a TaskGraph."""
        return self.rig.make("TaskGraph", "taskgraphs", {"name": name}, {"tasks": tasks, "parallelism": 2, **spec})

    def module(self, name: str) -> Object:
        """A tasklet of that module."""
        return {"module": {"url": f"{self.url}/{name}"}}

    def until(self, name: str, kind: str, plural: str = "jobs") -> Object:
        """Wait for a condition to be True; the status then."""

        def said() -> dict[str, str]:
            conditions = self.rig.status(plural, name).get("conditions", ())
            return {one["type"]: f"{one['reason']}: {one['message']}" for one in conditions if one["status"] == "True"}

        seen = self.rig.wait(said, {kind, "Complete", "Failed"}.intersection, f"{name} is {kind}")
        assert kind in seen, f"{name} is not {kind}: {seen}"
        return self.rig.status(plural, name)

    def until_reason(self, name: str, reason: str, plural: str = "jobs") -> Object:
        """Wait until it progresses, or does not, for this reason; the condition."""
        self.rig.wait(
            lambda: self.rig.condition(name, "Progressing", plural).get("reason"),
            lambda said: said == reason,
            f"{name} is {reason}",
        )
        return self.rig.condition(name, "Progressing", plural)

    def until_done(self, name: str, count: int, plural: str = "jobs") -> None:
        """Wait until so many chunks of it are done."""
        self.rig.wait(
            lambda: self.rig.status(plural, name).get("chunks", {}).get("succeeded", 0),
            lambda done: done >= count,
            f"{count} chunks of {name} are done",
        )

    def until_only(self, members: int) -> None:
        """Wait until nothing is left but so many members."""
        self.rig.wait(lambda: leftovers(self.rig, members), lambda left: not left, "nothing is left")

    def clear(self, members: int) -> None:
        """Delete all jobs; wait until nothing is left but so many members."""
        for one in self.rig.all("jobs"):
            self.rig.delete("jobs", one["metadata"]["name"])
        self.until_only(members)

    def coordinator(self, name: str) -> int:
        """The pid of a job's coordinator: the process that has grown a directory of its own on a member."""
        found = [pid for pid in self._pids() if self._is_coordinator(pid)]
        assert len(found) == 1, f"{name} has {len(found)} coordinators"
        return found[0]

    def kill_worker(self, name: str) -> None:
        """SIGKILL a member of the job's that is not its coordinator's, with all that it forked."""
        home = psutil.Process(self.coordinator(name)).ppid()
        others = [pod for pod in self._claimed(name) if self._main(pod) != home]
        assert self.rig.kubelet is not None
        self.rig.kubelet.do(partial(Kubelet.kill, pod=others[0]))

    def _claimed(self, name: str) -> list[str]:
        leases = [one for one in self.rig.all("leases") if one["spec"].get("purpose", "").startswith("coordinator")]
        mine = [one for one in leases if one["spec"]["holderIdentity"] == f"Job {name}"]
        return [member["name"] for one in mine for member in one["status"].get("members") or ()]

    def _main(self, pod: str) -> int:
        assert self.rig.kubelet is not None
        return self.rig.kubelet.do(partial(Kubelet.pid, pod=pod))

    def _pids(self) -> list[int]:
        assert self.rig.kubelet is not None
        pods = [one["metadata"]["name"] for one in self.rig.all("pods")]
        mains = [self.rig.kubelet.do(partial(Kubelet.pid, pod=pod)) for pod in pods]
        return [child.pid for main in mains for child in psutil.Process(main).children()]

    @staticmethod
    def _is_coordinator(pid: int) -> bool:
        try:
            return len(psutil.Process(pid).net_connections("tcp")) > 0
        except psutil.NoSuchProcess:
            return False


@contextmanager
def job_house(plane: ControlPlane, directory: Path, modules: dict[str, bytes], members: int) -> Iterator[JobHouse]:
    """An operator that can make volumes for stores, a pool of so many real members, and a server of these modules."""
    storage_class(plane, CLASS)
    with operator_rig(plane, directory, real=True) as rig, module_server(modules) as url:
        rig.start("a", provision_template=str(block_template(directory)))
        rig.pool(members, resources=REAL)
        yield JobHouse(rig, url)
