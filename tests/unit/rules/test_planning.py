"""A Job becomes a plan."""

import re

import pytest

from leasegrid.api.job import Job
from leasegrid.rules.planning import plan_job
from tasklet_runner.plan.types import (
    CacheSettings,
    CountInput,
    FilesInput,
    Input,
    Item,
    ItemsInput,
    Layout,
    LeaseTerms,
    LinesInput,
    MountSource,
    OutputSettings,
    Plan,
    Requirements,
    RetryPolicy,
    Source,
    StageInput,
)
from tasklet_runner.wire.errors import UnsupportedError
from tasklet_runner.wire.programs import Language, Limits, Mode

GIBI = 1024**3
MODULE = {"module": {"path": "tile.wasm"}}
PYTHON = {"python": {"source": {"path": "tools/report.py"}}}


def planned(tasklet: object = MODULE, given: object = None, **spec: object) -> Plan:
    job = {
        "apiVersion": "leasegrid.dev/v1alpha1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "team"},
        "spec": {"tasklet": tasklet, "input": given or {"count": 3}, **spec},
    }
    return plan_job(Job.model_validate(job), base="/b")


def test_a_job_that_says_nothing_more_gets_the_defaults() -> None:
    plan = planned()
    stage = plan.stage("main")

    assert (plan.namespace, plan.name, plan.waves) == ("team", "j", (("main",),))
    assert (plan.active_deadline_seconds, plan.suspended, plan.output) == (0, False, OutputSettings())
    assert (stage.parallelism, stage.min_parallelism, stage.max_failed_chunks) == (50, 1, 0)
    assert (stage.retry, stage.lease, stage.cache, stage.depends_on) == (RetryPolicy(), LeaseTerms(), None, ())
    assert (stage.tasklet.name, stage.tasklet.language, stage.tasklet.mode) == ("tile", Language.WASM, Mode.FRESH)
    assert stage.tasklet.source == Source(uri="/b/tile.wasm")
    assert stage.tasklet.limits == Limits()


def test_all_that_a_job_says_stands_in_its_plan() -> None:
    plan = planned(
        {**MODULE, "env": [{"name": "A", "value": "1"}], "mounts": [{"mountPath": "/m", "source": {"path": "d"}}],
         "fuel": 7, "memory": "1Gi", "wallSeconds": 8, "maxOutput": 9},
        parallelism=4, minParallelism=2, maxFailedChunks=1, priority=3, suspend=True, activeDeadlineSeconds=100_000,
        retry={"maxRetries": 0, "initialBackoffMilliseconds": 5, "maxBackoffMilliseconds": 6},
        lease={"poolRefs": [{"name": "p"}, {"name": "q"}], "ttlSeconds": 30, "renewAtPercent": 50},
        cache={"name": "c"},
        output={"store": "None", "size": "2Gi", "retainSeconds": 0, "layout": "ByPath"},
    )  # fmt: skip
    stage = plan.stage("main")

    assert (plan.suspended, plan.active_deadline_seconds) == (True, 100_000)
    assert plan.output == OutputSettings(store="None", size=2 * GIBI, retain_seconds=0, layout=Layout.BY_PATH)
    assert (stage.parallelism, stage.min_parallelism, stage.max_failed_chunks) == (4, 2, 1)
    assert stage.retry == RetryPolicy(max_retries=0, initial_backoff_milliseconds=5, max_backoff_milliseconds=6)
    assert stage.lease == LeaseTerms(
        pools=("p", "q"), ttl_seconds=30, renew_at_percent=50, max_lifetime_seconds=100_000, priority=3
    )
    assert stage.cache == CacheSettings(name="c", size=GIBI, retain_seconds=86400)
    assert stage.tasklet.limits == Limits(fuel=7, memory=GIBI, wall_seconds=8, max_output=9)
    assert stage.tasklet.environment == (("A", "1"),)
    assert stage.tasklet.mounts == (MountSource(path="/m", source=Source(uri="/b/d")),)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"count": 7}, CountInput(count=7), id="so many chunks"),
        pytest.param(
            {
                "items": [
                    {"value": "a"},
                    {"value": "b", "requirements": {"cpu": "1500m", "cpuFeatures": ["sve", "avx"]}},
                ],
                "shards": 2,
            },
            ItemsInput(
                items=(Item(value="a"), Item(value="b", requirements=Requirements(2, 0, ("avx", "sve")))), shards=2
            ),
            id="items, a heavy one with whole slots",
        ),
        pytest.param(
            {"lines": {"path": "words"}}, LinesInput(source=Source(uri="/b/words"), per_chunk=100), id="lines of a file"
        ),
        pytest.param(
            {"lines": {"uri": "s3://b/words", "perChunk": 5}, "shards": 3},
            LinesInput(source=Source(uri="s3://b/words"), per_chunk=5, shards=3),
            id="lines of a URI",
        ),
        pytest.param(
            {"files": {"globs": ["src/*.c"]}},
            FilesInput(globs=("/b/src/*.c",), root="/b/src"),
            id="files below their own root",
        ),
        pytest.param(
            {"files": {"globs": ["src/*.c"], "root": "."}, "shards": 4},
            FilesInput(globs=("/b/src/*.c",), root="/b", shards=4),
            id="files below another root",
        ),
    ],
)
def test_the_input(given: dict[str, object], expected: Input) -> None:
    assert planned(given=given).stage("main").input == expected


@pytest.mark.parametrize(
    ("tasklet", "uri", "inline", "name", "fuel"),
    [
        pytest.param(PYTHON, "/b/tools/report.py", None, "report", 10**11, id="a Python file has ten times the fuel"),
        pytest.param(
            {"python": {"source": {"inline": "print(1)"}}},
            "",
            "print(1)",
            "inline",
            10**11,
            id="Python in the YAML itself",
        ),
        pytest.param(
            {"module": {"url": "https://h/x.wasm"}}, "https://h/x.wasm", None, "x", 10**10, id="a module of a URL"
        ),
    ],
)
def test_the_source(tasklet: object, uri: str, inline: str | None, name: str, fuel: int) -> None:
    found = planned(tasklet).stage("main").tasklet

    assert (found.source, found.name, found.limits.fuel) == (Source(uri=uri, inline=inline), name, fuel)


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        pytest.param({"args": ["-o", "/out/x"]}, True, id="when an argument names it"),
        pytest.param({"args": ["-o/out"]}, True, id="when an argument ends with it"),
        pytest.param({"env": [{"name": "O", "value": "/out"}]}, True, id="when the environment names it"),
        pytest.param({"args": ["/output"]}, False, id="not when another name begins alike"),
        pytest.param({}, False, id="not when nothing names it"),
        pytest.param({"outputFiles": "Always"}, True, id="Always"),
        pytest.param({"args": ["/out/x"], "outputFiles": "Never"}, False, id="Never"),
    ],
)
def test_out_is_made(fields: dict[str, object], made: bool) -> None:
    assert planned({**MODULE, **fields}).stage("main").tasklet.output_files is made


def test_loop_mode_has_neither_in_nor_out() -> None:
    loop = {"python": {"source": {"inline": "x"}, "mode": "Loop"}, "args": ["/out/x"]}
    tasklet = planned(loop).stage("main").tasklet

    assert (tasklet.mode, tasklet.input_files, tasklet.output_files) == (Mode.LOOP, False, False)


@pytest.mark.parametrize(
    ("tasklet", "aggregate", "main_writes", "aggregate_reads"),
    [
        pytest.param(MODULE, PYTHON, False, False, id="stdouts alone need no directory"),
        pytest.param({**MODULE, "args": ["/out/x"]}, PYTHON, True, True, id="files stand in /in of the aggregate"),
        pytest.param(MODULE, {**PYTHON, "args": ["/in"]}, True, True, id="an aggregate that names /in wants files"),
        pytest.param(
            {**MODULE, "outputFiles": "Never"}, {**PYTHON, "args": ["/in"]}, False, False, id="but Never stays Never"
        ),
    ],
)
def test_an_aggregate_is_a_second_stage(
    tasklet: object, aggregate: object, main_writes: bool, aggregate_reads: bool
) -> None:
    plan = planned(tasklet, aggregate={"tasklet": aggregate}, cache={"name": "c"})
    stage = plan.stage("aggregate")

    assert plan.waves == (("main",), ("aggregate",))
    assert plan.sinks == plan.stages
    assert stage.input == StageInput(stages=("main",), gather=True)
    assert (stage.depends_on, stage.parallelism) == (("main",), 1)
    assert stage.cache == plan.stage("main").cache
    assert plan.stage("main").tasklet.output_files is main_writes
    assert stage.tasklet.input_files is aggregate_reads


def test_files_stand_in_in() -> None:
    assert planned(given={"files": {"globs": ["*"]}}).stage("main").tasklet.input_files


def test_what_workers_must_have_comes_from_the_lease() -> None:
    stage = planned(lease={"requirements": {"cpu": "2", "memory": "3Gi"}}).stage("main")

    assert stage.lease.requirements == Requirements(2, 3 * GIBI)


def test_a_tasklet_that_is_durable_is_so_in_the_plan() -> None:
    assert planned({"durable": True}).stage("main").tasklet.durable
    assert not planned().stage("main").tasklet.durable


def test_all_that_cannot_be_done_here_is_said_at_once() -> None:
    with pytest.raises(UnsupportedError) as raised:
        planned(
            {"module": {"upload": "m"}},
            aggregate={"tasklet": {"python": {"source": {"configMap": {"name": "c", "key": "k"}}}}},
            output={"copyTo": {"persistentVolumeClaim": {"claimName": "c"}}},
        )

    assert [part.split(":")[0] for part in raised.value.cause.split("; ") if part.startswith("spec.")] == [
        "spec.tasklet.module.upload",
        "spec.aggregate.tasklet.python.source.configMap",
        "spec.output.copyTo.persistentVolumeClaim",
    ]


@pytest.mark.parametrize(
    ("tasklet", "output", "path"),
    [
        pytest.param({"module": {"configMap": {"name": "c", "key": "k"}}}, {}, "module.configMap", id="a ConfigMap"),
        pytest.param({"module": {"sha256": "a" * 64}}, {}, "module.sha256", id="the hash of an uploaded object"),
        pytest.param(MODULE, {"copyTo": {"uri": "https://h/d"}}, "copyTo.uri", id="a copy to where nobody may write"),
        pytest.param(
            {
                "python": {"source": {"path": "p.py"}, "wheels": ["w"]},
                "mounts": [{"mountPath": "/wheels", "source": {"path": "d"}}],
            },
            {},
            "mounts[0].mountPath",
            id="a mount where the wheels are",
        ),
    ],
)
def test_what_cannot_be_done_here_is_named_with_what_to_do_instead(tasklet: object, output: object, path: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(f"{path}: ") + ".*(use|name|mount it) "):
        planned(tasklet, output=output)


def test_a_module_in_a_registry_is_named_by_its_reference() -> None:
    oci = {"reference": "ghcr.io/a/fib:v1", "pullSecretRef": {"name": "login"}}
    tasklet = planned({"module": {"oci": oci, "sha256": "a" * 64}}).stage("main").tasklet

    assert tasklet.source == Source(uri="oci://ghcr.io/a/fib:v1", digest="a" * 64, secret="login")  # noqa: S106  # a name
    assert tasklet.name == "fib"


def test_wheels_are_files_beside_the_yaml_or_uris() -> None:
    python = {"source": {"path": "p.py"}, "wheels": ["w/a-1-py3-none-any.whl", "https://h/b-1-py3-none-any.whl"]}
    mounts = [{"mountPath": "/wheelsome", "source": {"path": "d"}}]
    wheels = planned({"python": python, "mounts": mounts}).stage("main").tasklet.wheels

    assert [source.uri for source in wheels] == ["/b/w/a-1-py3-none-any.whl", "https://h/b-1-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param("s3://b/out", "s3://b/out", id="a bucket"),
        pytest.param("out", "/b/out", id="a directory beside the YAML"),
        pytest.param("file:///o", "file:///o", id="a directory by URI"),
    ],
)
def test_a_copy_of_the_outputs_goes_where_the_job_says(uri: str, expected: str) -> None:
    assert planned(output={"copyTo": {"uri": uri}}).output.copy_to == expected
