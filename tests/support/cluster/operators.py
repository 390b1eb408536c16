"""The operator beside a test, as the process that a pod would run."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster.running import ROOT

START_SECONDS = 60.0


@dataclass(frozen=True)
class OperatorProcess:
    """One replica. `broker` and `health` are URLs."""

    process: "subprocess.Popen[bytes]"
    broker: str
    health: str
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and wait; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_SECONDS)

    def said(self) -> str:
        """All that it has logged."""
        return self.log.read_text(errors="replace")


def start_operator(
    kubeconfig: Path, directory: Path, name: str, ports: tuple[int, int], **settings: str
) -> OperatorProcess:
    """Start a replica whose broker and health listen on these ports of loopback; returns at once."""
    scheme = "http" if settings.get("tls", "off") == "off" else "https"
    broker, health = f"{scheme}://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    flags: Mapping[str, str] = {
        "kubeconfig": str(kubeconfig),
        "own-namespace": "default",
        "identity": name,
        "broker-host": "127.0.0.1",
        "broker-port": str(ports[0]),
        "health-host": "127.0.0.1",
        "health-port": str(ports[1]),
        "advertised-address": broker,
        "log-format": "text",
        **settings,
    }
    log = directory / f"{name}.log"
    words = [word for flag, value in flags.items() for word in (f"--{flag.replace('_', '-')}", value)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "leasegrid_operator", *words],
            stdout=output,
            stderr=output,
            cwd=directory,
            env=environment,
        )
    return OperatorProcess(process, broker, health, log)


@contextmanager
def operator_beside(
    kubeconfig: Path, directory: Path, ports: tuple[int, int], name: str = "operator-a", **settings: str
) -> Iterator[OperatorProcess]:
    """A replica for the time of a with block."""
    operator = start_operator(kubeconfig, directory, name, ports, **settings)
    try:
        yield operator
    finally:
        if operator.process.poll() is None:
            operator.process.terminate()
        try:
            operator.process.wait(20)
        except subprocess.TimeoutExpired:
            operator.process.kill()
            operator.process.wait()
