"""Loading YAML: objects, or every fault at once."""

import pytest

from leasegrid.api.job import Job
from leasegrid.api.lease import Lease
from leasegrid.api.loading import Loaded, load_documents, read_object
from leasegrid.api.pool import InstancePool

HEAD = "apiVersion: leasegrid.dev/v1alpha1\n"
JOB = HEAD + "kind: Job\nmetadata: {name: j}\nspec: {tasklet: {module: {path: a.wasm}}, input: {count: 2}}\n"
POOL = HEAD + "kind: InstancePool\nmetadata: {name: p}\nspec: {}\n"
LEASE = HEAD + "kind: Lease\nmetadata: {name: l}\nspec: {count: 3}\n"

TEN_MISTAKES = """\
apiVersion: leasegrid.dev/v1alpha1
kind: Job
metadata: {name: Fractal_Job}
spec:
  tasklet:
    module: {path: tile.wasm, url: "https://example.org/tile.wasm"}
    memory: 8Gi
    args: ["$(CHUNK_INDX)"]
    env: [{name: A, value: x}, {name: A, value: y}]
  input:
    lines: {path: words, perChunk: 0}
    shrads: 3
  paralelism: 4
  output: {layout: ByIndexes}
  retry: {initialBackoffMilliseconds: 5000, maxBackoffMilliseconds: 100}
"""


def faults(text: str) -> list[tuple[str, str]]:
    return [(fault.path, fault.message) for fault in load_documents(text, "x.yaml").faults]


def test_ten_mistakes_are_ten_messages_with_paths_in_one_go() -> None:
    found = load_documents(TEN_MISTAKES, "fractal.yaml")

    assert found.objects == ()
    assert [str(fault) for fault in found.faults] == [
        "fractal.yaml:3: Job/Fractal_Job: metadata.name: 'Fractal_Job' is no RFC 1123 label: at most 63 of a-z, 0-9 "
        "and '-', with a letter or digit at both ends",
        "fractal.yaml:6: Job/Fractal_Job: spec.tasklet.module: has path and url: give exactly one of path, upload, "
        "oci, url, configMap",
        "fractal.yaml:7: Job/Fractal_Job: spec.tasklet.memory: must be at least 64Ki and at most 4Gi, is 8Gi",
        "fractal.yaml:8: Job/Fractal_Job: spec.tasklet.args[0]: $(CHUNK_INDX) names nothing: did you mean CHUNK_INDEX?",
        "fractal.yaml:9: Job/Fractal_Job: spec.tasklet.env[1].name: 'A' stands twice: keep one of them",
        "fractal.yaml:11: Job/Fractal_Job: spec.input.lines.perChunk: must be at least 1, is 0",
        "fractal.yaml:12: Job/Fractal_Job: spec.input.shrads: is no field here: did you mean shards?",
        "fractal.yaml:13: Job/Fractal_Job: spec.paralelism: is no field here: did you mean parallelism?",
        "fractal.yaml:14: Job/Fractal_Job: spec.output.layout: must be ByIndex or ByPath, is 'ByIndexes'; "
        "did you mean ByIndex?",
        "fractal.yaml:15: Job/Fractal_Job: spec.retry.initialBackoffMilliseconds: is 5000, but maxBackoffMilliseconds "
        "is 100: initialBackoffMilliseconds must not be larger",
    ]
    assert len(found.faults) == 10


def test_several_documents_are_read_in_order() -> None:
    loaded = load_documents("---\n".join([POOL, LEASE, "# nothing here\n", JOB]), "x.yaml")

    assert loaded.faults == ()
    assert [type(one) for one in loaded.objects] == [InstancePool, Lease, Job]


def test_the_faults_of_all_documents_are_told_with_their_place() -> None:
    text = JOB.replace("count: 2", "count: 0") + "---\n" + LEASE.replace("3", "none") + "---\n" + POOL

    loaded = load_documents(text, "x.yaml")
    assert [(one.document, one.line, one.kind, one.name, one.path) for one in loaded.faults] == [
        (1, 4, "Job", "j", "spec.input.count"),
        (2, 9, "Lease", "l", "spec.count"),
    ]
    assert len(loaded.objects) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", ("", "has no object: write one with apiVersion, kind, metadata, spec"), id="nothing at all"),
        pytest.param("- 1\n", ("", "is no object: write a mapping with apiVersion, kind, metadata, spec"), id="a list"),
        pytest.param(
            JOB.replace("Job", "Jobb"),
            ("kind", "'Jobb' is no kind of leasegrid.dev/v1alpha1: did you mean Job?"),
            id="an unknown kind",
        ),
        pytest.param(HEAD, ("kind", "is required: InstancePool, Lease, Job"), id="no kind"),
        pytest.param(
            JOB.replace("v1alpha1", "v1"),
            ("apiVersion", "must be leasegrid.dev/v1alpha1, is 'leasegrid.dev/v1'"),
            id="another version",
        ),
        pytest.param(
            "a: [\n",
            ("", "YAML cannot be read at line 2, column 1: did not find expected node content"),
            id="YAML that breaks off",
        ),
        pytest.param(
            "a:\n\tb: 1\n",
            ("", "YAML cannot be read at line 2, column 1: a tab, where YAML indents with spaces"),
            id="an indentation by tabs",
        ),
        pytest.param(
            JOB.replace("{count: 2}", "{items: [one]}"),
            ("spec.input.items[0]", "must be a mapping, is 'one'"),
            id="a list of nothing but mistakes is not called empty as well",
        ),
        pytest.param("a: \x00", ("", ""), id="bytes that YAML forbids"),
        pytest.param(
            POOL + "spec: {}\n",
            ("spec", "stands twice, first in line 4: keep one of them"),
            id="a key that stands twice",
        ),
        pytest.param(
            JOB + "---\n" + JOB,
            ("metadata.name", "the Job of document 1 has the same name"),
            id="two objects of one name",
        ),
        pytest.param(
            JOB.replace("{name: j}", "{name: j, labels: {a b: c}}"),
            ("metadata.labels.a b", "'a b' is no key of a label or annotation: write name or prefix.example/name"),
            id="a key that is none",
        ),
        pytest.param(
            POOL.replace("metadata: {name: p}", "metadata:"),
            ("metadata", "is required: Name, namespace, labels, annotations."),
            id="a field that is empty",
        ),
    ],
)
def test_one_mistake_is_one_message(text: str, expected: tuple[str, str]) -> None:
    found = faults(text)

    assert len(found) == 1
    assert found[0][0] == expected[0]
    assert found[0][1].startswith(expected[1])


def test_documents_before_broken_yaml_are_judged_too() -> None:
    loaded = load_documents(POOL + "---\n" + JOB.replace("count: 2", "count: 0") + "---\na: [\n", "x.yaml")

    assert [fault.path for fault in loaded.faults] == ["spec.input.count", ""]
    assert len(loaded.objects) == 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 100_000, id="nesting without end"),
        pytest.param("a: &a [*a]\n", id="a list that contains itself"),
        pytest.param(
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)),
            id="aliases that stand for a billion values",
        ),
    ],
)
def test_hostile_yaml_is_one_fault_and_no_crash(text: str) -> None:
    assert len(load_documents(text, "x.yaml").faults) == 1


@pytest.mark.parametrize(
    ("yaml_value", "value"),
    [
        pytest.param("2026-01-01", "2026-01-01", id="a date is text"),
        pytest.param("12:30", "12:30", id="a time of day is text, not a number to the base of sixty"),
        pytest.param("007", "007", id="leading zeros are kept"),
        pytest.param('"7"', "7", id="a number in quotes is text"),
    ],
)
def test_values_are_read_as_kubernetes_reads_them(yaml_value: str, value: str) -> None:
    loaded = load_documents(JOB.replace("count: 2", f"items: [{{value: {yaml_value}}}]"), "x.yaml")

    assert loaded.faults == ()
    job = loaded.objects[0]
    assert isinstance(job, Job)
    assert job.spec.input.items is not None
    assert job.spec.input.items[0].value == value


def test_fields_set_to_null_are_not_there() -> None:
    loaded = load_documents(JOB.replace("spec: {", "spec: {cache: null, "), "x.yaml")

    assert loaded == Loaded(load_documents(JOB, "x.yaml").objects, ())


def kept(spec: dict[str, object]) -> dict[str, object]:
    """A pool as an API server answers with it."""
    metadata = {
        "name": "cpu",
        "namespace": "team",
        "uid": "1",
        "generation": 3,
        "managedFields": [{"manager": "kubectl"}],
    }
    status = {"replicas": 1}
    return {
        "apiVersion": "leasegrid.dev/v1alpha1",
        "kind": "InstancePool",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def test_an_object_of_the_api_server_is_read_without_what_the_server_added() -> None:
    loaded, faults = read_object(kept({"targetSize": 3}))

    assert isinstance(loaded, InstancePool)
    assert (loaded.metadata.name, loaded.spec.target_size, loaded.status, faults) == ("cpu", 3, None, ())


def test_an_object_that_the_server_took_and_the_models_do_not_has_faults_with_paths() -> None:
    loaded, faults = read_object(
        kept({"schedules": [{"start": "daily", "durationSeconds": 60, "targetSize": 20}], "maxSize": 5})
    )

    assert loaded is None
    assert [fault.split(": ")[0] for fault in faults] == ["spec.schedules[0].start", "spec.schedules[0].targetSize"]
