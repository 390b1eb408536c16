"""Members, stores, volumes and queues say what simple models of them say, whatever happens in whatever order."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tasklet_runner.member.states import MemberStates
from tasklet_runner.store import queues, terms
from tasklet_runner.wire.queues import Standing
from tests.models.machines import MACHINES

_GOOD = Standing.ACKNOWLEDGED
EXAMPLES = {"a member": 150, "objects of a store": 25, "queues of a store": 25, "a leased volume": 15}


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.mark.parametrize("name", MACHINES)
def test_it_says_what_its_model_says(name: str) -> None:
    how = settings(max_examples=EXAMPLES[name], stateful_step_count=15, suppress_health_check=SLOW)
    run_state_machine_as_test(MACHINES[name], settings=how)


@pytest.mark.parametrize(
    ("name", "broken", "defect"),
    [
        pytest.param("a member", MemberStates, ("_over", lambda *_: False), id="a member that knows no deadline"),
        pytest.param(
            "queues of a store", queues, ("_standing", lambda *_: _GOOD), id="a queue that takes every receipt"
        ),
        pytest.param("a leased volume", terms, ("fenced", lambda *_: OSError()), id="a volume whose terms go back"),
    ],
)
def test_a_model_finds_a_defect_that_is_there(
    name: str, broken: object, defect: tuple[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken, *defect)
    how = settings(max_examples=2000, phases=[Phase.generate], suppress_health_check=SLOW, report_multiple_bugs=False)
    with pytest.raises(Exception):  # noqa: B017, PT011 - each defect shows in its own way; that one shows is the point
        run_state_machine_as_test(MACHINES[name], settings=how)
