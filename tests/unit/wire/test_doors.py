"""What travels through the HTTP doors of members and stores."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.member import BindReply, Hint, MemberState, Role, StateReport
from tasklet_runner.wire.store import MAX_KEY_BYTES, OBJECTS_PATH, object_key, object_path


def test_an_unclaimed_member_has_no_lease_and_no_deadline() -> None:
    report = StateReport(member="m", incarnation="i", epoch=0, state=MemberState.READY, slots=1, tasklet_memory=1024)
    read = msgspec.json.decode(msgspec.json.encode(report), type=StateReport)

    assert (read.lease_uid, read.seconds_left, read.state) == ("", -1.0, MemberState.READY)


def test_a_hint_names_its_state_in_words() -> None:
    hint = Hint(member="m", incarnation="i", epoch=1, state=MemberState.CLAIMED)

    assert b'"state":"claimed"' in msgspec.json.encode(hint)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200))
def test_any_key_survives_its_way_through_a_path(key: str) -> None:
    path = object_path(key)

    assert path.isascii()
    assert "/" not in path.removeprefix(OBJECTS_PATH)
    assert object_key(path) == key


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v1/other/a", id="another path"),
        pytest.param(OBJECTS_PATH, id="no key"),
        pytest.param(OBJECTS_PATH + "%ff", id="a key that is not UTF-8"),
        pytest.param(OBJECTS_PATH + "a%00b", id="a key with U+0000"),
        pytest.param(object_path("a" * (MAX_KEY_BYTES + 1)), id="a key that is too long"),
    ],
)
def test_a_path_names_no_object_with(path: str) -> None:
    with pytest.raises(ProtocolError):
        object_key(path)


def test_a_member_that_does_not_say_its_role_runs_tasklets() -> None:
    older = b'{"member":"m","incarnation":"i","epoch":1,"state":"ready","slots":2,"tasklet_memory":9}'
    report = msgspec.json.decode(older, type=StateReport)
    reply = BindReply(member="m", incarnation="i", epoch=1, slots=2, tasklet_memory=9)

    assert (report.role, report.kept_lease_uid, reply.role) == (Role.CPU, "", Role.CPU)
