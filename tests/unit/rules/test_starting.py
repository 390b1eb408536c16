"""With how many members a job starts."""

import pytest

from leasegrid.api.job import Job
from leasegrid.rules.planning import plan_job
from leasegrid.rules.starting import least_members
from leasegrid.rules.unsupported import Place

THREE_ITEMS = {"items": [{"value": text} for text in "abc"]}


@pytest.mark.parametrize(
    ("given", "least", "members"),
    [
        pytest.param({"count": 100}, 1, 1, id="one, where nothing is said"),
        pytest.param({"count": 100}, 5, 5, id="so many as minParallelism says"),
        pytest.param({"count": 3}, 5, 3, id="not more than there are chunks"),
        pytest.param(THREE_ITEMS, 5, 3, id="not more than there are items"),
        pytest.param({**THREE_ITEMS, "shards": 2}, 5, 2, id="not more than there are shards"),
        pytest.param({"lines": {"uri": "https://h/words"}}, 5, 5, id="what is to be read first is not reckoned"),
    ],
)
def test_a_job_starts_with(given: dict[str, object], least: int, members: int) -> None:
    spec = {"tasklet": {"module": {"url": "https://h/m.wasm"}}, "input": given, "parallelism": 8}
    body = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Job", "metadata": {"name": "j", "namespace": "n"}}
    job = Job.model_validate(
        {**body, "spec": {**spec, "minParallelism": least, "aggregate": {"tasklet": spec["tasklet"]}}}
    )
    assert least_members(plan_job(job, base="", place=Place.CLUSTER)) == members
