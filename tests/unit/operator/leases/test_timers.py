"""Things that are done at an instant."""

from functools import partial

from leasegrid_operator.leases.timers import Timers


def test_what_is_due_is_done_in_its_order_and_once() -> None:
    timers = Timers()
    done: list[str] = []
    for instant, word in ((3.0, "third"), (1.0, "first"), (2.0, "second"), (1.0, "first again")):
        timers.at(instant, partial(done.append, word))
    timers.run(0.5)
    assert done == []
    timers.run(2.0)
    timers.run(2.0)
    assert done == ["first", "first again", "second"]
    timers.run(10.0)
    assert done[3:] == ["third"]


def test_what_is_done_may_plan_what_comes_next() -> None:
    timers = Timers()
    done: list[int] = []

    def again() -> None:
        done.append(len(done))
        timers.at(float(len(done)), again)

    timers.at(0.0, again)
    timers.run(2.0)
    assert done == [0, 1, 2]
