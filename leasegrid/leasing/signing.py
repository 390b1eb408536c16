"""The fabric's pen: every statement that members of this machine obey, signed with the state directory's key."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import (
    MAX_PRESENTATION_SECONDS,
    MEMBERS_PER_CAPABILITY,
    Bind,
    Capability,
    Confirm,
    MemberGrant,
    Release,
    Retire,
)

SAME_CLOCK_SECONDS = 1.0
"""Clocks that are no further apart are one: a member's answer takes a part of that."""


class SteadyClock:
    """UNIX seconds that never step: the wall clock at the start, carried on by the monotonic one.

    Members convert every instant through the bind's, so a step between a bind and a renewal would move deadlines.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """UNIX seconds."""
        return self._offset + time.monotonic()

    def follow(self, instant: float, monotonic: float) -> bool:
        """Go on with the clock of an earlier signer, which showed `instant` then, unless it is the same one's.

        Members convert what a successor signs through the bind of its predecessor: were their clocks apart, renewals
        would shorten or lengthen leases. True when it was set.
        """
        offset = instant - monotonic
        if abs(offset - self._offset) <= SAME_CLOCK_SECONDS:
            return False
        self._offset = offset
        return True


@dataclass(frozen=True)
class LeaseTerm:
    """Until when a lease lives, by how much a renewal moves that, and what no renewal passes. UNIX seconds."""

    deadline: float
    ttl_seconds: int
    last_deadline: float


class Signer:
    """Signs with one key, by one clock."""

    def __init__(self, key: Ed25519PrivateKey, clock: SteadyClock) -> None:
        self._key = key
        self._clock = clock
        self.public = public_text(key)

    def bind(self, lease_uid: str, holder_key: str, grant: MemberGrant, deadline: float) -> str:
        """The order to belong to a lease until the deadline."""
        statement = Bind(
            lease_uid=lease_uid,
            holder_key=holder_key,
            member=grant.member,
            incarnation=grant.incarnation,
            epoch=grant.epoch,
            issued_at=self._clock.now(),
            deadline=deadline,
        )
        return sign(statement, self._key)

    def confirm(self, lease_uid: str, grant: MemberGrant) -> str:
        """The word that a bind was counted."""
        return sign(
            Confirm(lease_uid=lease_uid, member=grant.member, incarnation=grant.incarnation, epoch=grant.epoch),
            self._key,
        )

    def release(self, lease_uid: str, grant: MemberGrant) -> str:
        """The order to be free again."""
        return sign(
            Release(lease_uid=lease_uid, member=grant.member, incarnation=grant.incarnation, epoch=grant.epoch),
            self._key,
        )

    def retire(self, grant: MemberGrant) -> str:
        """The order to an idle member to end."""
        return sign(Retire(member=grant.member, incarnation=grant.incarnation, epoch=grant.epoch), self._key)

    def capabilities(
        self, lease_uid: str, holder_key: str, grants: Sequence[MemberGrant], term: LeaseTerm
    ) -> tuple[str, ...]:
        """One statement for each 64 members, in their order."""
        now = self._clock.now()
        return tuple(
            sign(
                Capability(
                    lease_uid=lease_uid,
                    holder_key=holder_key,
                    members=tuple(grants[start : start + MEMBERS_PER_CAPABILITY]),
                    issued_at=now,
                    deadline=term.deadline,
                    expires_at=now + MAX_PRESENTATION_SECONDS,
                    ttl_seconds=term.ttl_seconds,
                    last_deadline=term.last_deadline,
                ),
                self._key,
            )
            for start in range(0, len(grants), MEMBERS_PER_CAPABILITY)
        )
