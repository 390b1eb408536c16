"""Cron times and time zones as field types."""

import zoneinfo
from typing import Annotated

from pydantic import AfterValidator

from leasegrid.api.names import text_like


def _checked_cron(text: str) -> str:
    # Imported here, as it is slow to load and few files have schedules.
    from croniter import croniter  # type: ignore[import-untyped]

    if len(text.split()) != 5 or not croniter.is_valid(text):
        raise ValueError(
            f'{text!r} is no cron time: write five fields (minute, hour, day, month, weekday), such as "0 8 * * 1-5"'
        )
    return text


def _checked_zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{text!r} is no time zone: write an IANA name such as Europe/Berlin or UTC") from error
    return text


CronText = Annotated[str, AfterValidator(_checked_cron), text_like(r"\s*\S+(\s+\S+){4}\s*", 256)]
TimeZone = Annotated[str, AfterValidator(_checked_zone), text_like(r"[A-Za-z0-9_+/-]+", 64)]
