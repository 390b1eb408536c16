"""Small Jobs for the process tests: a folder with a YAML and its modules, run as a user would."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.running import Ended, Place, run_leasegrid

HEAD = """\
apiVersion: leasegrid.dev/v1alpha1
kind: Job
metadata: {name: test}
spec:
"""


@dataclass(frozen=True)
class Finished:
    """A run that ended, with its JSON document's job."""

    ended: Ended
    job: dict[str, Any]

    def failure(self, index: int) -> dict[str, Any]:
        """The failure of one chunk."""
        (found,) = [failure for failure in self.job["failures"] if failure["index"] == index]
        return dict(found)


def write_job(place: Place, spec: str, modules: dict[str, bytes]) -> Path:
    """The YAML's path; `spec` is what stands below `spec:`, indented by two."""
    for name, module in modules.items():
        (place.root / name).write_bytes(module)
    file = place.root / "job.yaml"
    file.write_text(HEAD + spec, encoding="utf-8")
    return file


def run_job(place: Place, spec: str, modules: dict[str, bytes], *options: str) -> Finished:
    """Run it with `--json`; the document must be there however the run ended."""
    ended = run_leasegrid(place, "run", str(write_job(place, spec, modules)), "--json", *options)
    assert ended.out, str(ended)
    return Finished(ended, json.loads(ended.out)["jobs"][0])
