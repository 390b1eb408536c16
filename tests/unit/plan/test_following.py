"""Who fetches which partition ahead, and what a member reads next."""

import pytest

from tasklet_runner.plan.following import assign, best


@pytest.mark.parametrize(
    ("partitions", "slots", "before", "wanted"),
    [
        pytest.param(3, {}, {}, {}, id="without members nobody follows"),
        pytest.param(3, {"a": 0}, {0: "a"}, {}, id="a member without slots follows nothing"),
        pytest.param(3, {"a": 1}, {}, {0: "a", 1: "a", 2: "a"}, id="one member follows all"),
        pytest.param(4, {"a": 1, "b": 1}, {}, {0: "a", 1: "b", 2: "a", 3: "b"}, id="members share in turn"),
        pytest.param(3, {"a": 2, "b": 1}, {}, {0: "a", 1: "a", 2: "b"}, id="by their slots"),
        pytest.param(1, {"a": 1, "b": 1}, {0: "b"}, {0: "b"}, id="what was assigned stays"),
        pytest.param(
            4, {"a": 1, "b": 1}, dict.fromkeys(range(4), "a"), {0: "a", 1: "a", 2: "b", 3: "b"},
            id="a member that comes gets its share, and no more moves than that",
        ),
        pytest.param(
            4, {"a": 1, "b": 1}, {0: "c", 1: "a", 2: "c", 3: "b"}, {0: "a", 1: "a", 2: "b", 3: "b"},
            id="what a member followed that is gone goes to the others",
        ),
        pytest.param(0, {"a": 1}, {}, {}, id="no partition, nothing to follow"),
    ],
)  # fmt: skip
def test_partitions_are_followed(
    partitions: int, slots: dict[str, int], before: dict[int, str], wanted: dict[int, str]
) -> None:
    assert assign(partitions, slots, before) == wanted


def test_nobody_follows_more_than_its_share_rounded_up() -> None:
    slots = {"a": 1, "b": 2, "c": 4}
    assigned = list(assign(100, slots, {}).values())
    assert [assigned.count(member) for member in slots] == [14, 29, 57]
    assert assign(100, slots, dict(enumerate(assigned))) == dict(enumerate(assigned))


@pytest.mark.parametrize(
    ("waiting", "followed", "wanted"),
    [
        pytest.param([4, 7, 9], {4: "b", 7: "a", 9: "a"}, 1, id="the first that the member follows"),
        pytest.param([4, 7, 9], {4: "b", 9: "b"}, 1, id="else the first that nobody follows"),
        pytest.param([4, 7, 9], {4: "b", 7: "b", 9: "c"}, 2, id="else the last, which others come to last"),
        pytest.param([4], {4: "b"}, 0, id="the only one"),
        pytest.param([4, 7], {}, 0, id="the first, where nobody follows any"),
    ],
)
def test_a_member_reads_next(waiting: list[int], followed: dict[int, str], wanted: int) -> None:
    assert best(waiting, followed, "a") == wanted
