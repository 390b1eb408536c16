"""What names the code of a program."""

import pytest

from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language, Program

SOURCE = "ab" * 32


def program(language: Language, *, durable: bool, source: str = SOURCE) -> Program:
    return Program(name="p", language=language, source=source, runtime=DEFAULT_PYTHON_RUNTIME, durable=durable)


@pytest.mark.parametrize(
    ("language", "durable", "name"),
    [
        pytest.param(Language.WASM, False, SOURCE, id="a module's code is named by the module"),
        pytest.param(Language.PYTHON, False, DEFAULT_PYTHON_RUNTIME, id="a Python file's by the interpreter"),
        pytest.param(Language.PYTHON, True, DEFAULT_PYTHON_RUNTIME, id="also where it keeps files in /durable"),
    ],
)
def test_code_is_shared_by_all_programs_with_the_same_module(language: Language, durable: bool, name: str) -> None:
    found = program(language, durable=durable)
    assert (found.module, found.takes_snapshots) == (name, False)


def test_the_code_of_a_durable_module_has_a_name_of_its_own_that_follows_the_module() -> None:
    one, same, other = (program(Language.WASM, durable=True, source=source) for source in (SOURCE, SOURCE, "cd" * 32))
    assert one.takes_snapshots
    assert one.module == same.module
    assert len({one.module, other.module, SOURCE}) == 3
    assert len(one.module) == 64
