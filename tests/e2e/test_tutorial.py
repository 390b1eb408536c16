"""docs/tutorial-instance-pool.md: its commands, pasted into one shell in their order, do what stands there."""

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.figures import Figures
from tests.e2e.kind_rig import Kind
from tests.support.running import REPOSITORY

TEXT = (REPOSITORY / "docs" / "tutorial-instance-pool.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISES = {
    "three claims, and the pool refills": "workers  CPU       Active  5       5      3 ",
    "a run on a lease": "hello from a leased worker",
    "giving back": "lease two: released 1 member in ",
    "taking away": "lease three: deleted; 1 member freed at once",
    "its receipt is an event": "has ended: its object was deleted; members: 1, tasklets: 0, volumes: 0",
    "an empty pool names both remedies": "raise spec.targetSize of the pool to at least 8 (on one machine: --workers), "
    "or give it an image that starts faster",
    "its exit status": "exit status 3",
    "a queue": "lease gang: bound 8 members after ",
    "no more than maxSize": "CappedByMax (MaxSize)",
    "an overflow pool": "  overflow-",
    "a schedule": "overflow   CPU        4 ",
    "drift": "its pool ended it (Drifted)",
    "stuck warming": "(lower spec.requests, or add nodes that match spec.template)",
    "a drain refuses claims": "was refused: Draining: pool 'workers' takes no more leases",
    "a drain ends": "pool workers: drained; no member is left",
    "a receipt on the object": '"unverified":[]',
    "the metric of warm-up": "leasegrid_pool_warmup_seconds_count ",
}


def blocks(language: str) -> list[str]:
    """The text of every block of a language."""
    return [text for named, text in BLOCK.findall(TEXT) if named == language]


def test_the_pool_in_the_tutorial_is_that_of_the_example() -> None:
    (written,) = map(yaml.safe_load, blocks("yaml"))
    assert written == yaml.safe_load((REPOSITORY / "examples" / "instance-pool" / "pool.yaml").read_text("utf-8"))


@pytest.mark.unhappy("a pool that is empty, that cannot warm, that drains: told with what to do")
def test_a_newcomer_gets_through_the_tutorial_by_pasting(user: Kind, figures: Figures) -> None:
    # What is said on stderr is part of what a reader sees.
    said = "".join(user.shell(f"exec 2>&1\n{block}") for block in blocks("bash"))
    missing = [what for what, words in PROMISES.items() if words not in said]
    assert missing == [], said
    assert "namespace/tutorial" not in user.kubectl("get", "namespaces", "--output=name")
    (warmups,) = re.findall(r"^leasegrid_pool_warmup_seconds_count (\S+)$", said, re.MULTILINE)
    figures.say("members that warmed up until the tutorial's end", warmups)


@pytest.fixture
def user(cluster: Kind) -> Iterator[Kind]:
    """Somebody whose namespace and context are what they were, wherever the tutorial stops."""
    yield cluster
    cluster.kubectl("config", "set-context", "--current", "--namespace=default")
    cluster.kubectl("delete", "namespace", "tutorial", "--ignore-not-found")
