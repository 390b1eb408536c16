"""What a job says that concerns a cluster alone: its ConfigMaps, Secrets and claims."""

import pytest

from leasegrid.api.job import Job
from leasegrid.rules.planning import plan_job
from leasegrid.rules.supplies import Needs, config_map_key, needs_of
from leasegrid.rules.unsupported import Place
from leasegrid.rules.uploads import UPLOADED_BASE
from tasklet_runner.plan.types import Plan, Source
from tasklet_runner.wire.errors import UnsupportedError

MODULE = {"module": {"url": "https://example.org/tile.wasm"}}


def on_a_cluster(tasklet: object = None, **spec: object) -> Plan:
    """The plan of a Job that is to be run on a cluster."""
    usual = {"tasklet": tasklet or MODULE, "input": {"count": 1}}
    job = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Job", "metadata": {"name": "j"}, "spec": {**usual, **spec}}
    return plan_job(Job.model_validate(job), base=UPLOADED_BASE, place=Place.CLUSTER)


def test_on_a_cluster_sources_may_stand_in_config_maps_and_copies_go_into_claims() -> None:
    module = {"configMap": {"name": "code", "key": "tile.wasm"}, "sha256": "a" * 64}
    python = {"source": {"configMap": {"name": "code", "key": "sum.py"}}}
    plan = on_a_cluster(
        {"module": module},
        aggregate={"tasklet": {"python": python}},
        output={"copyTo": {"persistentVolumeClaim": {"claimName": "results"}}},
        dataSecretRef={"name": "buckets"},
    )

    assert plan.stage("main").tasklet.source == Source(uri="configmap://code/tile.wasm", digest="a" * 64)
    assert [stage.tasklet.name for stage in plan.stages] == ["tile", "sum"]
    assert (plan.output.claim, plan.output.copy_to) == ("results", "")
    assert needs_of(plan) == Needs(tuple(stage.tasklet.source for stage in plan.stages), (), "buckets")
    assert config_map_key(plan.stages[1].tasklet.source.uri) == ("code", "sum.py")
    assert needs_of(plan)


def test_logins_of_registries_are_needed_once_each() -> None:
    oci = {"module": {"oci": {"reference": "ghcr.io/a/fib:v1", "pullSecretRef": {"name": "login"}}}}
    assert needs_of(on_a_cluster(oci, aggregate={"tasklet": oci})) == Needs(pull_secrets=("login",))
    assert not needs_of(on_a_cluster())


@pytest.mark.parametrize(
    ("tasklet", "output", "words"),
    [
        pytest.param(
            {"module": {"upload": "m"}}, {}, "module.upload: .*leasegrid submit uploads it", id="an object by name"
        ),
        pytest.param({"module": {"sha256": "a" * 64}}, {}, "module.sha256: .* or configMap", id="a hash alone"),
        pytest.param(MODULE, {"copyTo": {"uri": "out"}}, "copyTo.uri: .* of a pod; use a bucket", id="a directory"),
        pytest.param(MODULE, {"copyTo": {"uri": "oci://r/x"}}, "copyTo.uri: .* cannot be written", id="a registry"),
    ],
)
def test_what_a_cluster_cannot_do_is_told_in_words_of_clusters(tasklet: object, output: object, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as raised:
        on_a_cluster(tasklet, output=output)
    assert "one machine" not in str(raised.value)
