"""Rules across fields: each mistake is one message, at its path."""

import json

import pytest

from leasegrid.api.loading import load_documents

MODULE = {"module": {"path": "a.wasm"}}
LOOP = {"python": {"source": {"inline": "x"}, "mode": "Loop"}}


def faults(kind: str, spec: dict[str, object]) -> dict[str, str]:
    """Messages by path below `spec`. JSON is YAML."""
    document = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    found = load_documents(json.dumps(document), "x.yaml").faults
    assert len({fault.path for fault in found}) == len(found)
    return {fault.path.removeprefix("spec."): fault.message for fault in found}


def job(tasklet: object = MODULE, **fields: object) -> dict[str, object]:
    return {"tasklet": tasklet, "input": {"count": 1}, **fields}


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        pytest.param(job({}), "tasklet", "needs exactly one of module, python", id="neither module nor Python"),
        pytest.param(job({**MODULE, **LOOP}), "tasklet", "has module and python", id="both module and Python"),
        pytest.param(
            job({"modul": {"path": "a"}}),
            "tasklet.modul",
            "did you mean module?",
            id="a misspelt module is one mistake",
        ),
        pytest.param(job({"module": {}}), "tasklet.module", "exactly one of path", id="a module from nowhere"),
        pytest.param(
            job({"module": {"path": "a", "sha256": "XY"}}),
            "tasklet.module.sha256",
            "64 hexadecimal",
            id="a hash that is none",
        ),
        pytest.param(
            job({"python": {"source": {}}}),
            "tasklet.python.source",
            "path, inline, configMap",
            id="Python from nowhere",
        ),
        pytest.param(job({**MODULE, "memory": "1Ki"}), "tasklet.memory", "at least 64Ki", id="memory below a page"),
        pytest.param(job({**MODULE, "memory": 1.5}), "tasklet.memory", "text in quotes", id="memory as a float"),
        pytest.param(
            job({**MODULE, "env": [{"name": "CHUNK", "value": "$(CHUNK_NAM)"}]}),
            "tasklet.env[0].value",
            "did you mean CHUNK_NAME?",
            id="a reference in the environment that names nothing",
        ),
        pytest.param(
            job({**MODULE, "mounts": [{"mountPath": "m", "source": {"path": "x"}}]}),
            "tasklet.mounts[0].mountPath",
            "no absolute path",
            id="a mount at a relative path",
        ),
        pytest.param(
            job({**MODULE, "mounts": [{"mountPath": "/m", "source": {"path": one}} for one in "ab"]}),
            "tasklet.mounts[1].mountPath",
            "stands twice",
            id="two mounts at one path",
        ),
        pytest.param(
            job({**MODULE, "mounts": [{"mountPath": "/out", "source": {"path": "x"}}]}),
            "tasklet.mounts[0].mountPath",
            "chunks have for themselves",
            id="a mount at a path of the chunk's own",
        ),
        pytest.param(
            job({**LOOP, "outputFiles": "Always"}), "tasklet.outputFiles", "no /out", id="files from Loop mode"
        ),
        pytest.param(job({**LOOP, "durable": True}), "tasklet.durable", "use Fresh", id="/durable in Loop mode"),
        pytest.param(job(LOOP, input={"files": {"globs": ["*"]}}), "input.files", "no /in", id="files into Loop mode"),
        pytest.param(
            job(aggregate={"tasklet": LOOP}),
            "aggregate.tasklet.python.mode",
            "runs once",
            id="an aggregate in Loop mode",
        ),
        pytest.param(job(input={}), "input", "items, count, lines, files", id="no input"),
        pytest.param(job(input={"count": 1, "shards": 2}), "input.shards", "beside count", id="shards of a count"),
        pytest.param(job(input={"files": {"globs": []}}), "input.files.globs", "not be empty", id="no glob"),
        pytest.param(
            job(input={"lines": {"path": "a", "uri": "b"}}),
            "input.lines",
            "has path and uri",
            id="lines from two places",
        ),
        pytest.param(job(minParallelism=51), "minParallelism", "parallelism is 50", id="a minimum above the default"),
        pytest.param(
            job(parallelism=2, minParallelism=3),
            "minParallelism",
            "must not be larger",
            id="a minimum above parallelism",
        ),
        pytest.param(job(parallelism=0), "parallelism", "at least 1, is 0", id="no worker at all"),
        pytest.param(job(parallelism=True), "parallelism", "whole number, is true", id="a truth value for a number"),
        pytest.param(job(suspend="yes"), "suspend", "true or false", id="a text for a truth value"),
        pytest.param(job(tasklet="a.wasm"), "tasklet", "must be a mapping", id="a text for a mapping"),
        pytest.param(job({**MODULE, "args": "x"}), "tasklet.args", "must be a list", id="a text for a list"),
        pytest.param(job({**MODULE, "args": [1]}), "tasklet.args[0]", "put it in quotes", id="a number for a text"),
        pytest.param(job(priority=10**10), "priority", "at most 1000000000", id="a priority above all"),
        pytest.param(job(output={"copyTo": {}}), "output.copyTo", "uri, persistentVolumeClaim", id="a copy to nowhere"),
        pytest.param(
            job(lease={"requirements": {"resource": "Block"}}),
            "lease.requirements.resource",
            "CPU",
            id="a job on volumes",
        ),
        pytest.param(
            job(lease={"requirements": {"size": "1Gi"}}), "lease.requirements.size", "leave it out", id="a size for CPU"
        ),
        pytest.param(
            job(lease={"poolRefs": [{"name": "a"}, {"name": "a"}]}),
            "lease.poolRefs[1].name",
            "twice",
            id="a pool twice",
        ),
        pytest.param(
            job(lease={"poolRefs": [{"name": "a"}], "requirements": {}}),
            "lease.requirements",
            "poolRefs",
            id="pools and requirements",
        ),
    ],
)
def test_a_job_is_refused_with(spec: dict[str, object], path: str, words: str) -> None:
    found = faults("Job", spec)

    assert list(found) == [path]
    assert words in found[path]


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        pytest.param({"count": 2, "minCount": 3}, "minCount", "count is 2", id="a minimum above its count"),
        pytest.param(
            {"ttlSeconds": 20, "maxLifetimeSeconds": 10},
            "ttlSeconds",
            "maxLifetimeSeconds is 10",
            id="a time to live above its lifetime",
        ),
        pytest.param(
            {"poolRefs": [{"name": "a"}], "requirements": {}}, "requirements", "poolRefs", id="pools and requirements"
        ),
        pytest.param({"holderKey": "short"}, "holderKey", "32 raw bytes", id="a key that is none"),
        pytest.param({"onEmpty": "queue"}, "onEmpty", "did you mean Queue?", id="a word in the wrong case"),
    ],
)
def test_a_lease_is_refused_with(spec: dict[str, object], path: str, words: str) -> None:
    found = faults("Lease", spec)

    assert list(found) == [path]
    assert words in found[path]


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        pytest.param({"minSize": 6}, "minSize", "targetSize is 5", id="a minimum above the target"),
        pytest.param({"maxSize": 4}, "targetSize", "maxSize is 4", id="a target above the maximum"),
        pytest.param({"resource": "Block"}, "storage", "required for Block", id="a Block pool without storage"),
        pytest.param({"storage": {"size": "1Gi"}}, "storage", "Memory and Block", id="a CPU pool with storage"),
        pytest.param(
            {"resource": "Memory", "storage": {"size": "1Gi", "storageClassName": "fast"}},
            "storage.storageClassName",
            "tmpfs",
            id="a storage class for memory",
        ),
        pytest.param(
            {"resource": "Memory", "reuse": "Reset"}, "reuse", "always replaced", id="a reset of members that hold data"
        ),
        pytest.param(
            {"requests": {"memory": "4Gi"}},
            "requests.memory",
            "more than resources.memory 2Gi",
            id="more memory reserved than allowed",
        ),
        pytest.param(
            {"requests": {"cpu": "2500m"}}, "requests.cpu", "is 2500m, more than", id="more cores reserved than allowed"
        ),
        pytest.param(
            {"schedules": [{"start": "0 8 * * *", "durationSeconds": 60, "targetSize": 11}]},
            "schedules[0].targetSize",
            "maxSize is 10",
            id="a schedule above the maximum",
        ),
        pytest.param(
            {"schedules": [{"start": "8 o'clock", "durationSeconds": 60, "targetSize": 1}]},
            "schedules[0].start",
            "five fields",
            id="a start that is no cron time",
        ),
        pytest.param(
            {"schedules": [{"start": "0 8 * * *", "timeZone": "Berlin", "durationSeconds": 60, "targetSize": 1}]},
            "schedules[0].timeZone",
            "Europe/Berlin",
            id="a time zone that there is not",
        ),
        pytest.param(
            {"claimDefaults": {"maxLifetimeSeconds": 60}},
            "claimDefaults.ttlSeconds",
            "maxLifetimeSeconds is 60",
            id="a lifetime below the default",
        ),
        pytest.param(
            {"template": {"labels": {"a": "b c"}}},
            "template.labels.a",
            "no label value",
            id="a label value that is none",
        ),
    ],
)
def test_a_pool_is_refused_with(spec: dict[str, object], path: str, words: str) -> None:
    found = faults("InstancePool", spec)

    assert list(found) == [path]
    assert words in found[path]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param("Job", job({"module": {"sha256": "a" * 64}}), id="a hash alone names an uploaded module"),
        pytest.param(
            "Job",
            job({**MODULE, "args": ["$$(CHUNK_X)", "$(HOME)", "$(CHUNK_ID)"]}),
            id="references that are none of ours",
        ),
        pytest.param("Job", job(parallelism=1), id="the least parallelism"),
        pytest.param(
            "Lease", {"poolRefs": [{"name": "cpu"}, {"name": "overflow"}], "count": 50}, id="a lease of two pools"
        ),
        pytest.param("Lease", {"requirements": {"resource": "Block", "size": "10Gi"}}, id="a lease of a volume"),
        pytest.param("InstancePool", {}, id="a pool that says nothing"),
        pytest.param("InstancePool", {"targetSize": 20}, id="a target above the default maximum raises it"),
        pytest.param(
            "InstancePool", {"resource": "Block", "storage": {"size": "10Gi"}, "readyTTLSeconds": 0}, id="a Block pool"
        ),
    ],
)
def test_it_is_accepted(kind: str, spec: dict[str, object]) -> None:
    assert faults(kind, spec) == {}
