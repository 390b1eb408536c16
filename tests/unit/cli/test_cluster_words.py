"""What is said of leases and pools of a cluster, and of what its API server refuses."""

import json
import subprocess
import sys
from typing import Any

import click
import pytest

from leasegrid.cli import job_commands
from leasegrid.cli.cluster_commands import COMMANDS
from leasegrid.cli.cluster_options import Where, is_plugin, on_cluster
from leasegrid.cli.cluster_refusals import Request, refusal
from leasegrid.cli.exits import ExitCode, code_of_error
from leasegrid.cli.group import JOBS_ON_CLUSTER, ON_CLUSTER
from leasegrid.cli.lease_entries import pool_of, receipt_line, table
from leasegrid.cli.lease_objects import LeaseObject, Phase, instant_of, is_same_order, read_lease, seconds_of
from leasegrid.cli.tables import columns
from tasklet_runner.wire.errors import ClusterError, LeaseGridError

BOUND = {"type": "Bound", "status": "True", "reason": "AllBound", "message": ""}
EMPTY = {"type": "Bound", "status": "False", "reason": "PoolEmpty", "message": "none is ready (raise targetSize)"}
WAITS = {"type": "Bound", "status": "False", "reason": "HeadOfQueue", "message": "0 of 1 are ready"}
NEVER = {"type": "Satisfiable", "status": "False", "reason": "Unsupported", "message": "no such member"}
OVER = {"type": "Released", "status": "True", "reason": "Expired", "message": "its deadline has come"}
ACQUIRED = "2026-01-01T00:00:00.000000Z"


def lease(*conditions: dict[str, str], **status: Any) -> LeaseObject:  # noqa: ANN401 - JSON of any kind
    stated = [{**one, "lastTransitionTime": ACQUIRED} for one in conditions]
    return read_lease(
        {
            "metadata": {"name": "work", "namespace": "lab", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"count": 2, "holderIdentity": "ada", "aNewerField": True},
            "status": {"conditions": stated, **status},
        }
    )


@pytest.mark.parametrize(
    ("found", "phase", "why"),
    [
        pytest.param(lease(), Phase.PENDING, "", id="one that nobody has judged is pending"),
        pytest.param(lease(BOUND, acquireTime=ACQUIRED), Phase.BOUND, "AllBound", id="a bound one is bound"),
        pytest.param(lease(WAITS, queuePosition=1), Phase.QUEUED, "HeadOfQueue: 0 of 1 are ready", id="a queued waits"),
        pytest.param(
            lease(EMPTY), Phase.REFUSED, "PoolEmpty: none is ready (raise targetSize)", id="an empty pool refuses"
        ),
        pytest.param(lease(NEVER, EMPTY), Phase.REFUSED, "Unsupported: no such member", id="impossible comes first"),
        pytest.param(
            lease(EMPTY, OVER), Phase.REFUSED, "PoolEmpty: none is ready (raise targetSize)", id="ended, never bound"
        ),
        pytest.param(
            lease(OVER, acquireTime=ACQUIRED), Phase.RELEASED, "Expired: its deadline has come", id="ended, was bound"
        ),
    ],
)
def test_conditions_come_to_one_word_and_a_reason(found: LeaseObject, phase: Phase, why: str) -> None:
    assert (found.phase, found.why) == (phase, why)


def test_a_table_of_leases_shows_what_is_held_by_whom_and_why_others_wait() -> None:
    now = seconds_of(ACQUIRED) or 0.0
    bound = lease(BOUND, acquireTime=ACQUIRED, expireTime=instant_of(now + 90), members=[])

    assert table([bound, lease(WAITS, queuePosition=3)], now + 30) == [
        "LEASE  STATE     MEMBERS  HOLDER  EXPIRES   AGE   WHY",
        "work   Bound     0 of 2   ada     in 1 min  30 s  -",
        "work   Queued 3  0 of 2   ada     -         30 s  HeadOfQueue: 0 of 1 are ready",
    ]


def test_a_receipt_names_what_could_not_be_verified() -> None:
    receipt = {"members": 2, "heldMilliseconds": 65_000, "releasedInMilliseconds": 20, "unverified": ["cpu-1-2"]}

    assert receipt_line(lease(OVER, receipt=receipt)) == (
        "lease work: released 2 members in 20 ms, held for 1 min 5 s, 1 not verified yet (cpu-1-2)"
    )


def test_an_object_that_this_version_cannot_read_names_the_remedy() -> None:
    with pytest.raises(ClusterError, match="use the version of leasegrid that the cluster has"):
        lease(BOUND, members="many")


def test_instants_are_read_as_the_api_writes_them() -> None:
    assert seconds_of("2026-01-01T00:00:01Z") == seconds_of("2026-01-01T01:00:01.000000+01:00")
    assert instant_of(seconds_of(ACQUIRED) or 0.0) == ACQUIRED
    assert seconds_of(None) is None


@pytest.mark.parametrize(
    ("member", "pool"),
    [
        pytest.param("cpu-1a2b3-7", "cpu", id="a pool's member is named after it"),
        pytest.param("gpu-large-9f8e7-12", "gpu-large", id="the pool's name may hold dashes"),
        pytest.param("cpu-99999-7", "", id="another uid is another pool"),
        pytest.param("lone", "", id="a member of one machine has none"),
    ],
)
def test_a_members_pool_is_read_from_its_name(member: str, pool: str) -> None:
    assert pool_of(member, {"cpu": "1a2b3c4d", "gpu-large": "9f8e7d6c"}) == pool


def test_the_same_order_again_is_known_by_its_fields() -> None:
    assert is_same_order({"count": 2, "purpose": "other"}, {"count": 2, "minCount": 1, "purpose": "this"})
    assert not is_same_order({"count": 3}, {"count": 2})


def asked(plural: str = "leases", verb: str = "get", name: str = "work") -> Request:
    return Request(verb, plural, name, "lab", "prod")


def status(code: int, reason: str, **details: object) -> tuple[int, str]:
    return code, json.dumps({"kind": "Status", "reason": reason, "message": "said", "details": details})


@pytest.mark.parametrize(
    ("answer", "request_", "code", "words"),
    [
        pytest.param((401, "{}"), asked(), 4, "does not know you", id="an unknown user is told to log in"),
        pytest.param(
            status(403, "Forbidden"), asked(verb="create"), 4, "--clusterrole=leasegrid-lease-user", id="role of users"
        ),
        pytest.param(
            status(403, "Forbidden"),
            asked("instancepools", "patch"),
            4,
            "--clusterrole=leasegrid-pool-admin",
            id="changing a pool is for its administrator",
        ),
        pytest.param(
            (403, ""),
            asked("pods/portforward"),
            4,
            "on pods/portforward there",
            id="a port-forward has no role",
        ),
        pytest.param(
            (404, "404 page not found\n"), asked(), 4, "kubectl apply --server-side", id="a group that is not served"
        ),
        pytest.param(
            status(404, "NotFound", name="work", kind="leases"), asked(), 2, "there is no lease 'work'", id="no lease"
        ),
        pytest.param(
            status(404, "NotFound", name="lab", kind="namespaces"),
            asked(),
            2,
            "there is no namespace",
            id="no namespace",
        ),
        pytest.param(
            status(422, "Invalid", causes=[{"field": "spec.count", "message": "too small"}]),
            asked(verb="create"),
            2,
            "spec.count: too small",
            id="an invalid object names its fields",
        ),
        pytest.param((503, "busy"), asked(), 4, "try again", id="a server that is busy"),
    ],
)
def test_a_refusal_says_what_to_do(answer: tuple[int, str], request_: Request, code: int, words: str) -> None:
    error = refusal(*answer, request_)

    assert isinstance(error, LeaseGridError)
    assert words in str(error)
    assert code_of_error(error) == ExitCode(code)


def test_a_command_in_a_message_means_the_same_cluster() -> None:
    assert Where(context="prod", namespace="lab").command("exec", "work") == (
        "leasegrid exec work --context prod -n lab"
    )
    assert Where().command("release", "work", context="prod") == "leasegrid release work --context prod"
    assert Where(plugin=True).command("release", "work", context="prod") == "kubectl leasegrid release work"


def test_the_plugin_means_the_cluster_and_the_command_this_machine_unless_told_otherwise() -> None:
    assert is_plugin("/usr/local/bin/kubectl-leasegrid")
    assert not is_plugin("/usr/local/bin/leasegrid")
    assert not on_cluster(Where(), local=False, named=False)
    assert on_cluster(Where(plugin=True), local=False, named=False)
    assert not on_cluster(Where(plugin=True), local=True, named=False)
    with pytest.raises(click.UsageError, match="--local is this machine"):
        on_cluster(Where(context="prod"), local=True, named=True)


@pytest.mark.parametrize(
    ("line", "words", "fuel"),
    [
        pytest.param("work a.wasm x --fuel 5", ("work", "a.wasm", "x", "--fuel", "5"), None, id="behind FILE"),
        pytest.param("work --fuel 5 a.wasm --fuel 6", ("work", "a.wasm", "--fuel", "6"), 5, id="behind LEASE"),
        pytest.param("--fuel 5 work a.wasm -- x", ("work", "a.wasm", "--", "x"), 5, id="before LEASE"),
        pytest.param("--claim --fuel 5 a.wasm --fuel 6", ("a.wasm", "--fuel", "6"), 5, id="with --claim, before FILE"),
    ],
)
def test_options_before_the_file_are_those_of_exec_and_others_the_tasklets(
    line: str, words: tuple[str, ...], fuel: int | None
) -> None:
    (exec_,) = (command for command in COMMANDS if command.name == "exec")
    context = exec_.make_context("exec", line.split())

    assert (context.params["words"], context.params["fuel"]) == (words, fuel)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns(("A", "B"), [("long", ""), ("x", "y")]) == ["A     B", "long  -", "x     y"]


def test_every_command_of_a_cluster_is_found_by_its_name() -> None:
    assert tuple(command.name for command in COMMANDS) == ON_CLUSTER
    assert tuple(command.name for command in job_commands.COMMANDS) == JOBS_ON_CLUSTER


def test_a_run_on_this_machine_does_not_import_the_kubernetes_client() -> None:
    program = "import leasegrid.cli.group, leasegrid.cli.running, leasegrid.cli.sessions, sys; print(*sys.modules)"
    imported = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "leasegrid.cli.sessions" in imported
    assert not {"kubernetes", "leasegrid.cli.cluster_commands"} & set(imported)
