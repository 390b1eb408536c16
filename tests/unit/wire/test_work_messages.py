"""The messages of the work connection."""

import pytest

from tasklet_runner.wire import work
from tasklet_runner.wire.digests import checksum
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.programs import Language, Outcome, Program, Result, Task
from tasklet_runner.wire.work import Hello, Results, Run


def sealed(body: bytes) -> bytes:
    return body + checksum(body)


def test_a_frame_of_tasks_is_read_back_by_the_member() -> None:
    run = Run(slot=1, frame=2, program_id=3, tasks=(Task(0, 1, "0-a", b"in"), Task(1, 1, "1-b")))

    assert work.decode_to_member(work.encode(run)) == run


def test_results_are_read_back_by_the_holder() -> None:
    results = Results(slot=0, frame=1, results=(Result(0, 1, Outcome(stdout=b"out")),), done=True)

    assert work.decode_to_holder(work.encode(results)) == results


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(sealed(b""), id="nothing but its checksum"),
        pytest.param(sealed(b"\xc1"), id="no MessagePack"),
        pytest.param(sealed(b"\x80"), id="no tag"),
        pytest.param(sealed(b"\x81\xa1t\xa1\xff"), id="a tag that is no UTF-8"),
        pytest.param(sealed(b"\x82\xa1t\xa4Open\xa1z" + b"\x91" * 100_000), id="nested a hundred thousand levels deep"),
    ],
)
def test_a_frame_that_cannot_be_read_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        work.decode_to_member(data)
    with pytest.raises(ProtocolError):
        work.decode_to_holder(data)


@pytest.mark.unhappy("a message of the work connection that was damaged on its way")
def test_a_message_with_one_other_bit_is_refused_wherever_it_is() -> None:
    good = work.encode(Results(slot=0, frame=1, results=(Result(0, 1, Outcome(stdout=b"out")),), done=True))

    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProtocolError, match="checksum"):
            work.decode_to_holder(bytes(bad))


def test_a_message_for_one_side_is_none_for_the_other() -> None:
    hello = work.encode(Hello(member="m", incarnation="i", nonce="n", sealing_key=b"", slots=1))

    with pytest.raises(ProtocolError):
        work.decode_to_member(hello)


@pytest.mark.parametrize(
    ("language", "module"),
    [
        pytest.param(Language.WASM, "source", id="its source for WebAssembly"),
        pytest.param(Language.PYTHON, "runtime", id="the interpreter for Python"),
    ],
)
def test_the_module_that_is_compiled_is(language: Language, module: str) -> None:
    assert Program(name="p", language=language, source="source", runtime="runtime").module == module
