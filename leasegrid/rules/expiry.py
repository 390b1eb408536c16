"""When the lease of a volume is over, however clocks step, machines stop and databases are lost. Pure.

What stands on the volume is the deadline twice: as wall time, and as the seconds that were left at an instant of the
machine's own clock, which never steps and ends with the machine. While that clock goes on it decides alone. After a
reboot there is wall time only, and then nothing is believed to have more left than it had.
"""

import msgspec


class Moment(msgspec.Struct, frozen=True):
    """An instant: UNIX seconds, which boot of the machine, seconds since it (suspended ones too)."""

    wall: float
    boot: str
    since_boot: float


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How long a volume's lease lasts, as it was `written`. `expires`: UNIX seconds, or None; `left`: seconds.

    `span`: how long it lasts from a renewal, or was to be kept. `renewable`: somebody renews it, with a command that
    runs; what is merely kept is not. `extended`: the boot in which it was given its span again, or empty.
    """

    expires: float | None
    left: float
    span: float
    written: Moment
    renewable: bool = False
    extended: str = ""


def standing(expires: float | None, ttl: float, now: Moment) -> Standing:
    """Of a lease that is written down now. `ttl` 0: nobody renews it."""
    left = 0.0 if expires is None else expires - now.wall
    return Standing(expires=expires, left=left, span=ttl or max(left, 0.0), written=now, renewable=ttl > 0)


def seconds_left(known: Standing, now: Moment) -> float:
    """Until the deadline; negative: it has passed. Of a lease that expires."""
    if known.written.boot and known.written.boot == now.boot:
        return known.left - max(0.0, now.since_boot - known.written.since_boot)
    return min((known.expires or 0.0) - now.wall, known.left)


def continued(known: Standing, now: Moment) -> Standing | None:
    """The lease as it goes on, the same value when nothing is to be written; None: it is over.

    Who renews it had no chance to while no command ran or the machine was off, so it is over only when it was seen
    after that, and given its whole time once more. What is kept is given it once, after a reboot: nobody could fetch
    it meanwhile.
    """
    if known.expires is None:
        return known
    left = seconds_left(known, now)
    rebooted = known.written.boot != now.boot
    if left > 0:
        return _again(known, max(left, known.span) if known.renewable else left, now) if rebooted else known
    may_extend = known.extended != now.boot if known.renewable else rebooted and not known.extended
    if not may_extend or known.span <= 0:
        return None
    return msgspec.structs.replace(_again(known, known.span, now), extended=now.boot)


def _again(known: Standing, left: float, now: Moment) -> Standing:
    return msgspec.structs.replace(known, expires=now.wall + left, left=left, written=now)
