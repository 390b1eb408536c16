"""Logs: one form for our lines and for those of libraries."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from leasegrid_operator.logs import Action, configure, log
from leasegrid_operator.settings import LogFormat, LogLevel


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    for name in ("kopf.objects", "kopf", "aiohttp", "asyncio", "kubernetes"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_action_and_the_object_that_it_is_about() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, LogFormat.JSON, stream)

    log(
        logging.getLogger("leasegrid_operator.leases"),
        logging.INFO,
        Action.LEASE_BOUND,
        "bound\nnow",
        name="a",
        members=3,
    )

    (line,) = lines(stream)
    assert line.pop("time")
    assert line == {"level": "info", "action": "lease-bound", "message": "bound\nnow", "name": "a", "members": 3}


def test_lines_of_libraries_come_out_in_the_same_form() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, LogFormat.JSON, stream)
    reference = {"kind": "Pod", "name": "a", "namespace": "n", "uid": None}

    logging.getLogger("kopf.objects").error("broke", extra={"k8s_ref": reference})
    logging.getLogger("aiohttp.server").warning("odd %s", "request")

    broke, odd = lines(stream)
    assert (broke["action"], broke["logger"], broke["kind"], broke["name"]) == ("library", "kopf.objects", "Pod", "a")
    assert (odd["level"], odd["message"]) == ("warning", "odd request")


def test_what_libraries_say_of_each_event_is_left_out() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, LogFormat.JSON, stream)

    logging.getLogger("kopf.objects").info("Handler succeeded.")
    logging.getLogger("kopf._core").info("Initial authentication has been initiated.")
    log(logging.getLogger("leasegrid_operator"), logging.DEBUG, Action.KEY_READ, "read")

    assert stream.getvalue() == ""


def test_a_traceback_stays_on_the_line() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, LogFormat.JSON, stream)
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("other").exception("failed")

    (line,) = lines(stream)
    assert "ValueError: x" in str(line["error"])


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, LogFormat.TEXT, stream)

    log(logging.getLogger("leasegrid_operator"), logging.WARNING, Action.LEADERSHIP_LOST, "lost it", name="a")

    assert stream.getvalue().split(" ", 1)[1] == "warning leadership-lost: lost it name=a\n"
