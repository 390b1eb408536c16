"""The table of leases: who wants members, who is whose child, and what is remembered of those that have ended."""

import asyncio
from collections.abc import Callable

import pytest

from leasegrid.leasing import leases
from leasegrid.leasing.leases import Held, LeaseRecord, LeaseTable
from leasegrid.leasing.roster import Member, Shape
from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest
from tasklet_runner.wire.errors import LeaseEndedError, PoolEmptyError
from tasklet_runner.wire.member import Counters


def record(name: str, **changes: object) -> LeaseRecord:
    """A lease; call it in an event loop."""
    request = LeaseRequest(request_id=name, holder_key="k", **changes)  # type: ignore[arg-type]  # of the fields' types
    return LeaseRecord(
        uid=f"uid-{name}", request=request, arrived=0.0, pools=("cpu",), provisioned=False, acquired=100.0,
        deadline=160.0, wanted=request.count, settled=asyncio.get_running_loop().create_future(),
    )  # fmt: skip


def holding(lease: LeaseRecord, *names: str) -> None:
    """Members are bound to it."""
    for name in names:
        member = Member(name, "cpu", Shape(1, 1, 1, 1000), "http://10.0.0.1:8080", 0.0)
        leased = LeasedMember(name=name, endpoint="e", incarnation="i", epoch=1, slots=1, tasklet_memory=1)
        lease.hold(Held(member, leased, member.grant))


def tell(story: Callable[[LeaseTable], None]) -> None:
    """Tell a story with a table, inside an event loop."""

    async def told() -> None:
        story(LeaseTable())

    asyncio.run(told())


def uids(records: list[LeaseRecord]) -> list[str]:
    return [one.uid for one in records]


def test_a_new_lease_wants_members_until_it_has_them() -> None:
    def story(table: LeaseTable) -> None:
        lease = record("a", count=2)
        table.add(lease)
        assert uids(table.wanting()) == ["uid-a"]
        holding(lease, "m1")
        lease.touch()
        assert (lease.missing, uids(table.wanting())) == (1, ["uid-a"])
        holding(lease, "m2")
        lease.settle()
        lease.touch()
        assert (lease.missing, table.wanting()) == (0, [])

    tell(story)


@pytest.mark.parametrize(("elastic", "wants"), [(False, []), (True, ["uid-a"])], ids=["a gang", "an elastic one"])
def test_a_lease_that_loses_a_member_wants_another_only_when_it_is_elastic(elastic: bool, wants: list[str]) -> None:
    def story(table: LeaseTable) -> None:
        lease = record("a", count=1, elastic=elastic)
        table.add(lease)
        holding(lease, "m1")
        lease.settle()
        del lease.held["m1"]
        lease.touch()
        assert uids(table.wanting()) == wants

    tell(story)


def test_a_lease_that_expires_or_has_ended_wants_nothing_more() -> None:
    def story(table: LeaseTable) -> None:
        lease = record("a", elastic=True)
        table.add(lease)
        lease.expiring = True
        lease.touch()
        assert table.wanting() == []
        lease.expiring, lease.ended = False, "Expired"
        lease.touch()
        assert (table.wanting(), lease.missing, len(table)) == ([], 0, 0)

    tell(story)


def test_children_are_known_by_their_parents_name_until_they_end() -> None:
    def story(table: LeaseTable) -> None:
        children = [record(name, parent="job") for name in ("a", "b")]
        for child in children:
            table.add(child)
        assert uids(table.children("job")) == ["uid-a", "uid-b"]
        children[0].ended = "Finished"
        children[0].touch()
        assert uids(table.children("job")) == ["uid-b"]
        table.forget(children[1])
        assert table.children("job") == table.children("nobody") == []

    tell(story)


def test_an_ended_lease_is_found_but_does_not_live() -> None:
    def story(table: LeaseTable) -> None:
        lease = record("a")
        table.add(lease)
        lease.ended = "Finished"
        lease.touch()
        assert (table.get("uid-a"), table.find("uid-a"), table.of_request("a")) == (None, lease, lease)

    tell(story)


@pytest.mark.unhappy("an acquisition that failed may be tried again under the same id")
def test_a_forgotten_lease_is_nowhere_and_its_request_may_come_again() -> None:
    def story(table: LeaseTable) -> None:
        first = record("a")
        table.add(first)
        table.forget(first)
        assert (table.known("uid-a"), table.of_request("a"), table.live()) == (None, None, [])
        with pytest.raises(LeaseEndedError):
            table.find("uid-a")
        second = record("a")
        table.add(second)
        table.forget(first)
        assert table.of_request("a") is second

    tell(story)


def test_a_lease_whose_name_is_free_is_known_by_its_uid_alone() -> None:
    def story(table: LeaseTable) -> None:
        first, second = record("a"), record("a")
        second.uid = "uid-another"
        table.add(first)
        table.free_name(first)
        assert (table.of_request("a"), table.get("uid-a")) == (None, first)
        table.add(second)
        table.free_name(first)
        assert table.of_request("a") is second

    tell(story)


def test_so_many_ended_leases_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "ENDED_KEPT", 2)

    def story(table: LeaseTable) -> None:
        for name in ("a", "b", "c"):
            lease = record(name)
            table.add(lease)
            lease.ended = "Finished"
            lease.touch()
        assert [name for name in "abc" if table.known(f"uid-{name}") is not None] == ["b", "c"]
        assert (table.of_request("a"), table.of_request("c")) == (None, table.known("uid-c"))

    tell(story)


def test_what_members_did_adds_up() -> None:
    def story(_: LeaseTable) -> None:
        lease = record("a")
        lease.count(Counters(tasklets=2, faults=1, fuel_used=10, wall_milliseconds=5, killed=1), 7)
        lease.count(Counters(tasklets=3), 1)
        expected = Counters(tasklets=5, faults=1, fuel_used=10, wall_milliseconds=5, killed=1)
        assert (lease.counters, lease.scratch_bytes) == (expected, 8)

    tell(story)


def test_an_acquisition_is_settled_once() -> None:
    def story(_: LeaseTable) -> None:
        lease = record("a")
        lease.settle(PoolEmptyError("none"))
        lease.settle()
        assert isinstance(lease.settled.exception(), PoolEmptyError)

    tell(story)
