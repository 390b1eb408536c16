"""Where a job's compiled code is kept."""

from pathlib import Path

import pytest

from leasegrid.api.job import Job
from leasegrid.cli.vaults import open_vault
from leasegrid.local.state import StateDirectory
from leasegrid.rules.planning import plan_job

PYTHON = {"python": {"source": {"inline": "print(1)"}}}
MODULE = {"module": {"path": "m.wasm"}}
CACHE = {"cache": {"name": "build"}}


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        pytest.param(
            {"tasklet": PYTHON}, "state/code/_interpreter", id="the interpreter's belongs to the installation"
        ),
        pytest.param(
            {"tasklet": PYTHON, **CACHE},
            "state/code/_interpreter",
            id="a cache does not have the interpreter's made anew",
        ),
        pytest.param({"tasklet": MODULE, **CACHE}, "state/caches/build/code", id="a module's stands beside the cache"),
        pytest.param(
            {"tasklet": MODULE, "aggregate": {"tasklet": PYTHON}, **CACHE},
            "state/caches/build/code",
            id="with a module, all of the job's stands beside the cache",
        ),
        pytest.param({"tasklet": MODULE}, "scratch/code", id="a module's without a cache ends with the run"),
    ],
)
def test_compiled_code_is_kept(spec: dict[str, object], where: str, tmp_path: Path) -> None:
    document = {
        "apiVersion": "leasegrid.dev/v1alpha1",
        "kind": "Job",
        "metadata": {"name": "one"},
        "spec": {**spec, "input": {"count": 1}},
    }
    plan = plan_job(Job.model_validate(document), base="/base")

    vault = open_vault(StateDirectory(tmp_path / "state"), plan, tmp_path / "scratch")

    assert vault.directory == tmp_path / where
    assert vault.directory.is_dir()
