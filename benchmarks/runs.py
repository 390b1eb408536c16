"""One `leasegrid run` as a user starts it, in a state directory of its own, with its JSON report and what it cost."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEASEGRID = Path(sys.executable).with_name("leasegrid")

HEAD = """\
apiVersion: leasegrid.dev/v1alpha1
kind: Job
metadata: {name: bench}
spec:
"""


@dataclass(frozen=True)
class Run:
    """One run. `wall_seconds`: shell to shell; memory and CPU are those of the command's own process."""

    wall_seconds: float
    report: dict[str, Any]
    process: dict[str, Any]

    @property
    def run_seconds(self) -> float:
        """From the run's start to its end, as the report has it."""
        return float(self.report["figures"]["seconds"])

    @property
    def peak_memory(self) -> int:
        """Bytes of the process that holds the coordinator."""
        return int(self.process["peakMemoryBytes"])

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the process that holds the coordinator."""
        return float(self.process["cpuSeconds"])


class Home:
    """A state directory that several runs share: the first one compiles, the others find the compiled code."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="leasegrid-bench-")
        self.path = Path(self._folder.name)

    def run(self, spec: str, *options: str) -> Run:
        """Run a Job of this spec (YAML, indented by two). Raises RuntimeError when it does not complete."""
        started = time.perf_counter()
        document = self._document(HEAD + spec, options)
        return Run(time.perf_counter() - started, document["jobs"][0], document["process"])

    def run_file(self, text: str, *options: str) -> list[dict[str, Any]]:
        """Run what this YAML has; returns the reports in order. Raises RuntimeError when it does not complete."""
        reports: list[dict[str, Any]] = self._document(text, options)["jobs"]
        return reports

    def _document(self, text: str, options: tuple[str, ...]) -> dict[str, Any]:
        file = self.path / "job.yaml"
        file.write_text(text, encoding="utf-8")
        run = subprocess.run(
            [LEASEGRID, "run", file, "--json", *options],
            check=False,
            capture_output=True,
            env={**os.environ, "XDG_STATE_HOME": str(self.path / "state")},
            timeout=900,
        )
        if run.returncode:
            raise RuntimeError(f"leasegrid run ended with {run.returncode}: {run.stderr.decode()[-2000:]}")
        document: dict[str, Any] = json.loads(run.stdout)
        return document

    def close(self) -> None:
        """Remove the state directory."""
        self._folder.cleanup()
