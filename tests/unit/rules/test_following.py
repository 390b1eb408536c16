"""What is done next about a store that a living lease owns."""

import pytest

from leasegrid.rules.following import Step, next_step
from tasklet_runner.wire.member import MemberState


@pytest.mark.parametrize(
    ("held", "lacking", "server", "step"),
    [
        pytest.param(True, 0, MemberState.CLAIMED, Step.REST, id="one that serves is left alone"),
        pytest.param(True, 1, None, Step.REST, id="one that the lease still counts is not followed, whatever is seen"),
        pytest.param(False, 1, None, Step.FOLLOW, id="one whose server is gone is followed"),
        pytest.param(False, 1, MemberState.WARMING, Step.REST, id="one that comes up is waited for"),
        pytest.param(False, 1, MemberState.READY, Step.BIND, id="one that is ready is bound"),
        pytest.param(False, 1, MemberState.CLAIMED, Step.ADOPT, id="one that was bound after all is taken"),
        pytest.param(False, 1, MemberState.RESETTING, Step.REST, id="one that lets go is waited for"),
        pytest.param(False, 1, MemberState.TERMINATED, Step.REST, id="one that ends is waited for until it is gone"),
        pytest.param(False, 0, None, Step.END, id="one that nobody wants any more ends"),
        pytest.param(False, 0, MemberState.TERMINATED, Step.REST, id="and not before its server is gone"),
        pytest.param(False, -1, MemberState.READY, Step.REST, id="a lease that has enough binds none"),
    ],
)
def test_next_step(*, held: bool, lacking: int, server: MemberState | None, step: Step) -> None:
    assert next_step(held=held, lacking=lacking, server=server) is step
