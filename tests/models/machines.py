"""All of them, by what they are about."""

from collections.abc import Mapping

from hypothesis.stateful import RuleBasedStateMachine

from tests.models.member import MemberAgainstModel
from tests.models.objects import StoreAgainstDictionary
from tests.models.queues import QueuesAgainstLists
from tests.models.volumes import VolumeAgainstNumbers

MACHINES: Mapping[str, type[RuleBasedStateMachine]] = {
    "a member": MemberAgainstModel,
    "objects of a store": StoreAgainstDictionary,
    "queues of a store": QueuesAgainstLists,
    "a leased volume": VolumeAgainstNumbers,
}
