"""The models and the API server agree beyond the tables too: objects with random mistakes, by fixed seeds."""

import json
import random

import pytest

from leasegrid.api.loading import load_documents
from tests.integration.control_plane import ControlPlane
from tests.integration.rule_cases import CASES
from tests.integration.test_rules import created, written

JUNK: tuple[object, ...] = (
    None,
    1,
    -1,
    0,
    10**6,
    1.5,
    True,
    "x",
    "",
    "1Gi",
    "a",
    [],
    {},
    [1],
    ["b"],
    ["a", "a"],
    {"a": 1},
    [[]],
    [{}],
)
OBJECTS = 200


def spoilt(value: object, chance: random.Random) -> object:
    """The value with here and there something else in it, a name misspelt or left out."""
    if chance.random() < 0.05:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        kept = [(name, inner) for name, inner in value.items() if chance.random() > 0.04]
        return {f"{name}{'x' * (chance.random() < 0.03)}": spoilt(inner, chance) for name, inner in kept}
    if isinstance(value, list):
        return [spoilt(inner, chance) for inner in value]
    return value


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_server_takes_what_the_models_take_and_nothing_else(cluster: ControlPlane, seed: int) -> None:
    chance = random.Random(seed)
    taken = 0
    for _ in range(OBJECTS):
        case = chance.choice(CASES)
        spec = spoilt(chance.choice((case.accepted, case.refused)), chance)
        faults = load_documents(json.dumps(written(case.kind, "x", spec)), "x").faults
        answer = created(cluster, case.kind, spec)
        assert answer.accepted is (faults == ()), (spec, answer.message, [str(fault) for fault in faults])
        taken += answer.accepted

    assert 0 < taken < OBJECTS
