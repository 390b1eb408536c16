"""Logs: one JSON object a line, or text for people; what happened is an `action` of a fixed list.

Everything that is logged in the process comes out in this form: kopf's and aiohttp's lines too, as action `library`.
Info is for changes of state alone.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

from leasegrid_operator.settings import LogFormat, LogLevel

_EXTRA = "leasegrid"
"""Where a record of ours keeps its action and fields."""

LIBRARY_LEVELS = {
    "kopf.objects": logging.ERROR,  # says of each event that its handler succeeded
    "kopf._cogs.clients": logging.CRITICAL,  # says of each try at each kind that the API server is away
    "kopf": logging.WARNING,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "kubernetes": logging.WARNING,
}
"""The least that libraries may say; more of it only at `debug`."""


class Action(StrEnum):
    """What happened, for programs that read logs: these words stay as they are."""

    STARTED = "operator-started"
    STOPPED = "operator-stopped"
    FAILED = "operator-failed"
    LISTED = "first-lists-complete"
    WATCH_RESTARTED = "watch-restarted"
    EVENT_FAILED = "event-failed"
    WATCH_REFUSED = "watch-refused"
    LEADERSHIP_ACQUIRED = "leadership-acquired"
    LEADERSHIP_LOST = "leadership-lost"
    LEADERSHIP_RELEASED = "leadership-released"
    LEADER_FOLLOWED = "leader-followed"
    ELECTION_FAILED = "election-failed"
    KEY_CREATED = "key-created"
    KEY_READ = "key-read"
    CERTIFICATE_LOADED = "certificate-loaded"
    CERTIFICATE_REFUSED = "certificate-refused"
    AUTHORITY_EXPIRES = "authority-expires"
    MEMBER_LOST = "member-lost"
    LEASE_BOUND = "lease-bound"
    LEASE_REFUSED = "lease-refused"
    LEASE_RENEWED = "lease-renewed"
    LEASE_ENDED = "lease-ended"
    LEASE_ADOPTED = "lease-adopted"
    CLOCK_FOLLOWED = "clock-followed"
    JOB_STEP_FAILED = "job-step-failed"
    JOB_ENDED = "job-ended"
    WRITE_FAILED = "write-failed"
    LIBRARY = "library"


def log(logger: logging.Logger, level: int, action: Action, message: str, /, **fields: object) -> None:
    """Log that something happened; `fields` say to which object (kind, namespace, name, uid) and other facts."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", message, extra={_EXTRA: (action, fields)})


def configure(level: LogLevel, form: LogFormat, stream: TextIO = sys.stderr) -> None:
    """Send all that is logged in this process to the stream, in this form. May be called again."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form is LogFormat.JSON else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in LIBRARY_LEVELS.items():
        library = logging.getLogger(name)
        library.setLevel(logging.DEBUG if level is LogLevel.DEBUG else least)
        library.handlers.clear()
        library.propagate = True
    logging.captureWarnings(capture=True)


class JsonLines(logging.Formatter):
    """`{"time", "level", "action", "message", …fields}`; `logger` names a library, `error` holds a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        action, fields = _said(record)
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "action": action,
            "message": record.getMessage(),
            **fields,
        }
        if action is Action.LIBRARY:
            line["logger"] = record.name
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextLines(logging.Formatter):
    """Time, level, action, message and the fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and below it the traceback, if there is one."""
        action, fields = _said(record)
        named = "".join(f" {name}={value}" for name, value in fields.items())
        line = f"{_time(record)} {record.levelname.lower():<7} {action}: {record.getMessage()}{named}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _said(record: logging.LogRecord) -> tuple[Action, Mapping[str, Any]]:
    ours = getattr(record, _EXTRA, None)
    if ours is not None:
        action, fields = ours
        return action, fields
    return Action.LIBRARY, _object_of_kopf(getattr(record, "k8s_ref", None))


def _object_of_kopf(reference: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The object that a line of kopf is about, in our words."""
    names = ("kind", "namespace", "name", "uid")
    return {name: reference[name] for name in names if reference.get(name)} if reference else {}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
