"""Chunk ids, cache keys and index strings."""

import hashlib

import msgspec
import pytest

from tasklet_runner.plan.chunks import (
    chunk_id,
    content_hash,
    depends_on_index,
    program_key,
    result_key,
)
from tasklet_runner.wire.programs import Language, Limits, Mode, Mount, Program

PROGRAM = Program(name="tile", language=Language.WASM, source="a" * 64, arguments=("-x", "$(CHUNK_PATH)"))


def test_a_chunk_is_named_by_its_index_and_the_first_128_bits_of_its_sha256() -> None:
    digest = hashlib.sha256(b"input").hexdigest()

    assert content_hash(b"input") == digest[:32]
    assert chunk_id(7, b"input") == f"7-{digest[:32]}"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "other"}, id="argv[0] is another"),
        pytest.param({"source": "b" * 64}, id="the module is another"),
        pytest.param({"runtime": "c" * 64}, id="the interpreter is another"),
        pytest.param({"arguments": ("-x",)}, id="an argument is another"),
        pytest.param({"environment": (("A", "1"),)}, id="the environment is another"),
        pytest.param({"mounts": (Mount(path="/m", digest="d"),)}, id="a mount is another"),
        pytest.param({"output_files": True}, id="files are wanted too"),
    ],
)
def test_a_result_is_not_taken_from_the_cache_when(change: dict[str, object]) -> None:
    assert program_key(msgspec.structs.replace(PROGRAM, **change)) != program_key(PROGRAM)


def test_a_raised_limit_keeps_the_cache() -> None:
    assert program_key(msgspec.structs.replace(PROGRAM, limits=Limits(fuel=1))) == program_key(PROGRAM)


@pytest.mark.parametrize(
    ("change", "depends"),
    [
        pytest.param({}, False, id="not when only its path reaches the program"),
        pytest.param({"arguments": ("n=$(CHUNK_INDEX)",)}, True, id="when an argument names the index"),
        pytest.param({"environment": (("I", "$(CHUNK_ID)"),)}, True, id="when the environment names the id"),
        pytest.param({"mode": Mode.LOOP}, True, id="when a line of Loop mode carries it"),
    ],
)
def test_a_result_depends_on_its_index(change: dict[str, object], depends: bool) -> None:
    assert depends_on_index(msgspec.structs.replace(PROGRAM, **change)) is depends


def test_a_cache_key_tells_program_input_path_and_index_apart() -> None:
    keys = {
        result_key("p", "h"),
        result_key("q", "h"),
        result_key("p", "i"),
        result_key("p", "h", path="a"),
        result_key("p", "h", index=0),
        result_key("p", "h", index=1),
    }

    assert len(keys) == 6
