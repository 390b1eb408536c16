"""A machine's clocks, for tests of what stands on volumes: time passes, the wall clock steps, the machine reboots."""

from leasegrid.rules.expiry import Moment

START = 1_000_000.0


class MachineClock:
    """Called, it is a state directory's clock."""

    def __init__(self) -> None:
        self.wall = START
        self.boots = 1
        self.since_boot = 5000.0

    def __call__(self) -> Moment:
        return Moment(self.wall, f"boot-{self.boots}", self.since_boot)

    def pass_by(self, seconds: float) -> None:
        """So many seconds go by."""
        self.wall += seconds
        self.since_boot += seconds

    def step(self, seconds: float) -> None:
        """The wall clock is set."""
        self.wall += seconds

    def reboot(self, off_seconds: float) -> None:
        """The machine was off for so long; its wall clock went on."""
        self.wall += off_seconds
        self.boots += 1
        self.since_boot = 20.0
