"""Outputs that are not kept stand in the job's object, as far as they fit."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.hosting.inline import inline_outputs
from tasklet_runner.plan.types import CountInput, OutputSettings, Plan
from tasklet_runner.wire.jobs import MAX_INLINE_CHARACTERS, InlineOutput
from tests.support.runs import plan, stage
from tests.support.stores import commit, opened, output


def said(tmp_path: Path, kept: str, *contents: bytes) -> str:
    """What stands in the object of a job with these outputs."""

    async def check() -> str:
        async with opened(tmp_path) as store:
            for index, content in enumerate(contents):
                await store.write([output(index, content)], [commit(index)])
            return await inline_outputs(store, made(kept))

    return asyncio.run(check())


def made(kept: str) -> Plan:
    return msgspec.structs.replace(plan(stage(CountInput(count=1))), output=OutputSettings(store=kept))


def test_small_ones_are_text_or_base64(tmp_path: Path) -> None:
    found = msgspec.json.decode(said(tmp_path, "None", b"one\n", b"\xff", b""), type=list[InlineOutput])
    assert found == [InlineOutput(index=0, text="one\n"), InlineOutput(index=1, base64="/w=="), InlineOutput(index=2)]


def test_more_than_are_read_at_once_stand_in_their_order(tmp_path: Path) -> None:
    found = msgspec.json.decode(
        said(tmp_path, "None", *(b"%d" % index for index in range(70))), type=list[InlineOutput]
    )
    assert [(one.index, one.text) for one in found] == [(index, str(index)) for index in range(70)]


def test_kept_ones_are_in_the_store_alone(tmp_path: Path) -> None:
    assert said(tmp_path, "Block", b"one\n") == ""


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param([b"x" * (MAX_INLINE_CHARACTERS + 1)], id="one"),
        pytest.param([b"x" * 20_000, b"y" * 20_000], id="all together"),
        pytest.param([b"\x01" * 10_000], id="escaped"),
        pytest.param([b""] * 2_500, id="very many"),
    ],
)
def test_large_ones_are_left_out(tmp_path: Path, contents: list[bytes]) -> None:
    assert said(tmp_path, "None", *contents) == ""
