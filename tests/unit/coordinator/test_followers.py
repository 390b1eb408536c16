"""What members are told to follow, and when they are told again."""

from types import SimpleNamespace
from typing import cast

from tasklet_runner.coordinator.announcing import Announcing
from tasklet_runner.coordinator.followers import Followers
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.partition_stores import PartitionStore
from tasklet_runner.coordinator.partitions import Generation
from tasklet_runner.plan.types import Requirements, Stage
from tasklet_runner.wire.work import Follow
from tests.support.scripted_shuffles import reduced

READER = reduced()


class Store:
    """A store whose place and grant the test sets."""

    def __init__(self) -> None:
        self.serves = True
        self.said = ("unix:///one", "grant 1")

    def get_grant(self) -> tuple[str, str]:
        return self.said


class Member:
    """A handle, as far as it is asked here. `heard`: what it was told."""

    def __init__(self, name: str, *, slots: int = 1, stage: Stage = READER, other: bool = False) -> None:
        self.member = SimpleNamespace(name=name)
        self.slots = [object()] * slots
        requirements = Requirements(slots=3) if other else stage.lease.requirements
        self.group = SimpleNamespace(key=SimpleNamespace(terms=stage.lease, requirements=requirements))
        self.closed = self.draining = False
        self.heard: list[Follow] = []

    def satisfies(self, requirements: Requirements) -> bool:
        return False

    def post(self, message: Follow) -> None:
        self.heard.append(message)

    def queues(self) -> list[tuple[str, ...]]:
        return [message.queues for message in self.heard]


def production(partitions: int = 2, *, begun: bool = True, stage: str = "map") -> tuple[Generation, Store]:
    store = Store()
    made = Generation(stage, partitions, cast("PartitionStore", store))
    made.announcing = cast("Announcing", SimpleNamespace(begun=begun, finish=lambda: None))
    return made, store


def tell(followers: Followers, made: Generation, *members: Member) -> None:
    followers.tell({made: READER}, cast("tuple[Handle, ...]", members))


def test_members_share_the_partitions_and_are_told_once() -> None:
    followers, (made, _), one, two = Followers(), production(3), Member("one"), Member("two")

    for _ in range(3):
        tell(followers, made, one, two)
    assert one.heard == [Follow("unix:///one", "grant 1", ("map/part-0", "map/part-2"))]
    assert two.heard == [Follow("unix:///one", "grant 1", ("map/part-1",))]
    assert made.followed == {0: "one", 1: "two", 2: "one"}


def test_nobody_is_told_before_there_is_something_to_fetch_and_a_store_to_fetch_it_from() -> None:
    followers, (made, store), one = Followers(), production(begun=False), Member("one")

    tell(followers, made, one)
    assert made.announcing is not None
    made.announcing.begun, store.serves = True, False
    tell(followers, made, one)
    assert (one.heard, made.followed) == ([], {})


def test_a_new_grant_and_another_endpoint_are_told_and_the_old_one_is_left() -> None:
    followers, (made, store), one = Followers(), production(1), Member("one")

    tell(followers, made, one)
    store.said = ("unix:///one", "grant 2")
    tell(followers, made, one)
    store.said = ("unix:///two", "grant 3")
    tell(followers, made, one)
    queues = ("map/part-0",)
    assert one.heard == [
        Follow("unix:///one", "grant 1", queues),
        Follow("unix:///one", "grant 2", queues),
        Follow("unix:///one", "", ()),
        Follow("unix:///two", "grant 3", queues),
    ]


def test_a_member_that_comes_takes_its_share_and_one_that_drains_leaves_its_own() -> None:
    followers, (made, _), one, two = Followers(), production(2), Member("one"), Member("two")

    tell(followers, made, one)
    tell(followers, made, one, two)
    one.draining = True
    tell(followers, made, one, two)
    assert one.queues() == [("map/part-0", "map/part-1"), ("map/part-0",), ()]
    assert two.queues() == [("map/part-1",), ("map/part-0", "map/part-1")]


def test_when_all_is_committed_nobody_begins_and_those_who_follow_go_on() -> None:
    followers, (made, store), one, late = Followers(), production(2), Member("one"), Member("late")

    tell(followers, made, one)
    made.finish()
    store.said = ("unix:///one", "grant 2")
    tell(followers, made, one, late)
    both = ("map/part-0", "map/part-1")
    assert (one.queues(), late.queues()) == ([both, both], [])


def test_followers_are_told_of_the_end_of_a_production_unless_they_are_gone() -> None:
    followers, (made, _), one, gone = Followers(), production(2), Member("one"), Member("gone")

    tell(followers, made, one, gone)
    gone.closed = True
    followers.tell({}, ())
    followers.tell({}, ())
    assert (one.queues(), gone.queues()) == ([("map/part-0",), ()], [("map/part-1",)])


def test_parts_of_one_partition_meet_on_one_member_whoever_produced_them() -> None:
    followers, (left, _), (right, _) = Followers(), production(4), production(4, stage="right")
    one, two = Member("one"), Member("two")
    members = cast("tuple[Handle, ...]", (one, two))

    followers.tell({left: READER}, members[:1])
    followers.tell({left: READER, right: READER}, members)
    assert left.followed == right.followed == {0: "one", 1: "one", 2: "two", 3: "two"}


def test_members_that_cannot_run_the_reader_follow_nothing() -> None:
    followers, (made, _) = Followers(), production(2)
    closed, other, one = Member("closed"), Member("other", other=True), Member("one")
    closed.closed = True

    tell(followers, made, closed, other, one)
    assert [member.queues() for member in (closed, other, one)] == [[], [], [("map/part-0", "map/part-1")]]
