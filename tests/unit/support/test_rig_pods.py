"""How a pod's specification becomes a local process."""

import sys
from typing import Any

import pytest

from tests.support.cluster.member_pods import command_pod, member_pod
from tests.support.cluster.pods import (
    ConfigError,
    Placement,
    claim_names,
    expand,
    is_terminal,
    local_command,
    requested_millicores,
)

PLACEMENT = Placement("node-a", "127.9.0.1", {"scratch": "/tmp/one", "store": "/tmp/two"})  # noqa: S108 - a word only

Object = dict[str, Any]


def existing(pod: Object) -> Object:
    """The pod as the server keeps it."""
    pod["metadata"] |= {"namespace": "default", "uid": "uid-1"}
    return pod


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        pytest.param("$(IP):8080", "127.9.0.1:8080", id="a known variable is replaced"),
        pytest.param("$(OTHER)", "$(OTHER)", id="an unknown one stays"),
        pytest.param("$$(IP)", "$(IP)", id="two dollars are one, and no reference"),
        pytest.param("100$", "100$", id="a dollar alone stays"),
    ],
)
def test_in_an_argument(text: str, expanded: str) -> None:
    assert expand(text, {"IP": "127.9.0.1"}) == expanded


def test_a_member_gets_its_address_its_name_and_directories_of_its_own() -> None:
    command = local_command(existing(member_pod("pool-1", "-key")), PLACEMENT)

    assert command.command[:4] == (sys.executable, "-m", "tasklet_runner", "member")
    options = dict(zip(command.command[4::2], command.command[5::2], strict=True))
    assert options["--listen"] == "127.9.0.1:8080"
    assert options["--name"] == "pool-1"
    assert options["--fabric-key"] == "-key"
    assert options["--scratch"] == "/tmp/one"  # noqa: S108 - a word only
    assert command.environment == {"POD_IP": "127.9.0.1", "POD_NAME": "pool-1"}


@pytest.mark.parametrize(
    ("word", "moved"),
    [
        pytest.param("/store", "/tmp/two", id="a mount's path is its directory"),  # noqa: S108 - a word only
        pytest.param("/store/a", "/tmp/two/a", id="a path below is below"),  # noqa: S108 - as above
        pytest.param("--store=/store", "--store=/tmp/two", id="after an option's equals sign too"),
        pytest.param("/storehouse", "/storehouse", id="a longer name is another path"),
        pytest.param("say /store", "say /store", id="within a sentence nothing is touched"),
    ],
)
def test_of_mounts(word: str, moved: str) -> None:
    pod = existing(command_pod("a", "echo", word))
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "store", "mountPath": "/store"}]

    assert local_command(pod, PLACEMENT).command == ("echo", moved)


def test_what_is_not_served_is_refused_in_words() -> None:
    pod = existing(command_pod("a", "echo"))
    pod["spec"]["containers"][0]["env"] = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    bare = existing(command_pod("b"))

    with pytest.raises(ConfigError, match="KEY comes from"):
        local_command(pod, PLACEMENT)
    with pytest.raises(ConfigError, match="no command"):
        local_command(bare, PLACEMENT)


def test_cores_are_requests_or_else_limits_of_all_containers() -> None:
    pod = command_pod("a", "echo", cpu="250m")
    pod["spec"]["containers"].append({"name": "b", "resources": {"limits": {"cpu": "2"}}})

    assert requested_millicores(pod) == 2250


def test_claims_and_ends_are_read() -> None:
    pod = command_pod("a", "echo")
    pod["spec"]["volumes"] = [{"name": "x", "emptyDir": {}}, {"name": "y", "persistentVolumeClaim": {"claimName": "c"}}]

    assert claim_names(pod) == {"y": "c"}
    assert not is_terminal(pod)
    assert is_terminal({"status": {"phase": "Failed"}})
