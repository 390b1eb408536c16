"""Members that are made for one lease, where no pool has any."""

import time

from tests.e2e.figures import Figures
from tests.e2e.rooms import Room, instant

MEMBERS = 8


def test_eight_members_are_made_for_a_lease_where_there_is_no_pool_and_end_with_it(
    space: Room, figures: Figures
) -> None:
    began = time.time()
    needs = {"cpu": "1", "memory": "512Mi"}
    space.lease("burst", requirements=needs, count=MEMBERS, onEmpty="Provision", ttlSeconds=300)
    assert len(space.until_bound("burst")) == MEMBERS
    bound = instant(space.condition("lglease", "burst", "Bound")["lastTransitionTime"])
    figures.seconds(f"{MEMBERS} members made for a lease, from kubectl apply to Bound", bound - began)

    space.change("lglease", "burst", {"revoke": {"graceSeconds": 0}})
    assert space.released("burst")["members"] == MEMBERS
    space.until_gone("pods")
