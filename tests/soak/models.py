"""State machines beside their models, for much longer than in the unit tier; see `tests.models`."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.models.machines import MACHINES
from tests.soak.tally import Tally

EXAMPLES = {"a member": (200, 5000)}
"""In the short and in the long form: what lives in memory is quick."""

ON_DISK = (20, 500)
STEPS = 30


def campaigns(seed: int, *, short: bool) -> Iterator[tuple[str, Callable[[Path, Tally], None]]]:
    """One for each machine."""
    for name, machine in MACHINES.items():
        few, many = EXAMPLES.get(name, ON_DISK)
        yield f"beside its model: {name}", _campaign(machine, seed, few if short else many)


def _campaign(machine: type[RuleBasedStateMachine], seed: int, examples: int) -> Callable[[Path, Tally], None]:
    def run(root: Path, tally: Tally) -> None:
        """Each example is a try, and each of its steps a fault that might show."""
        before, tempfile.tempdir = tempfile.tempdir, str(root)
        try:
            counted = _counting(machine, tally)
            how = settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            run_state_machine_as_test(hypothesis.seed(seed)(counted), settings=how)
        except Exception as error:  # noqa: BLE001 - whatever a machine's model does not expect is a finding
            tally.wrongs += 1
            tally.words += ["\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])]
        finally:
            tempfile.tempdir = before

    return run


def _counting(machine: type[RuleBasedStateMachine], tally: Tally) -> type[RuleBasedStateMachine]:
    class Counted(machine):  # type: ignore[misc, valid-type]  # one of the machines
        def __init__(self) -> None:
            super().__init__()
            tally.tries += 1

        def check_invariants(self, *arguments: object, **named: object) -> None:
            tally.faults += 1
            super().check_invariants(*arguments, **named)

    return Counted
