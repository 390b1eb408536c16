"""Files of a submitter's machine that a plan names."""

import pytest

from leasegrid.api.job import Job
from leasegrid.rules.planning import plan_job
from leasegrid.rules.uploads import UPLOADED_BASE, is_uploaded, local_paths


def paths(**spec: object) -> tuple[str, ...]:
    """What a Job with these fields names."""
    usual = {"tasklet": {"module": {"url": "https://example.org/a.wasm"}}, "input": {"count": 1}}
    job = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Job", "metadata": {"name": "j"}, "spec": {**usual, **spec}}
    return local_paths(plan_job(Job.model_validate(job), base=UPLOADED_BASE))


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        pytest.param({}, (), id="a module by URL and inputs by count need no file"),
        pytest.param({"tasklet": {"python": {"source": {"inline": "1"}}}}, (), id="nor does inline Python"),
        pytest.param({"tasklet": {"module": {"path": "a.wasm"}}}, ("a.wasm",), id="a module by path does"),
        pytest.param({"tasklet": {"module": {"path": "/b/a.wasm"}}}, ("/b/a.wasm",), id="absolute ones too"),
        pytest.param({"input": {"lines": {"path": "in.txt"}}}, ("in.txt",), id="and lines"),
        pytest.param({"input": {"lines": {"uri": "s3://b/in.txt"}}}, (), id="but not by URI"),
        pytest.param({"input": {"files": {"globs": ["src/**/*.c", "x/*"]}}}, ("src/**/*.c", "x/*"), id="and globs"),
        pytest.param(
            {
                "tasklet": {
                    "module": {"url": "https://example.org/a.wasm"},
                    "mounts": [{"mountPath": "/lib", "source": {"path": "lib"}}],
                }
            },
            ("lib",),
            id="and mounts",
        ),
        pytest.param(
            {"tasklet": {"python": {"source": {"inline": "1"}, "wheels": ["w-1-py3-none-any.whl"]}}},
            ("w-1-py3-none-any.whl",),
            id="and wheels",
        ),
        pytest.param({"input": {"lines": {"path": "../in.txt"}}}, ("in.txt",), id="and what leads above the YAML"),
        pytest.param({"input": {"lines": {"uri": "file:///in.txt"}}}, ("file:///in.txt",), id="and files by URI"),
    ],
)
def test_local_paths(spec: dict[str, object], names: tuple[str, ...]) -> None:
    assert paths(**spec) == names


def test_what_is_uploaded_is_no_uri() -> None:
    assert is_uploaded("uploaded:/a.wasm")
    assert not is_uploaded("s3://b/a.wasm")
    assert not is_uploaded("")
