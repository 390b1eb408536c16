"""How quick a peer must be that is waited for; pure."""

from tasklet_runner.doors.limits import HURRY_SECONDS, DoorLimits


class Pace:
    """Of one peer. `step`: so many seconds it is waited for at most before it is asked whether that is too long."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self.step = min(HURRY_SECONDS, limits.stall_seconds)
        self._waited = 0.0
        self._moved = 0

    def is_over(self, waited: float, moved: int, *, hurried: bool) -> bool:
        """True when it was waited for so many seconds more, in which so many bytes moved, and that is too slow.

        `hurried`: others wait for what it has.
        """
        self._waited += waited
        self._moved += moved
        if self._moved >= self._limits.stall_bytes:
            self._waited, self._moved = 0.0, 0
            return False
        return self._waited >= (self.step if hurried else self._limits.stall_seconds)
