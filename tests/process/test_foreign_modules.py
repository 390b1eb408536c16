"""WASI command modules that others built run unchanged: every byte is what bare wasmtime gives."""

from pathlib import Path

import pytest

from tests.process.example_runs import EXAMPLES, check, make_modules, run_job

FOLDER = EXAMPLES / "foreign-modules"
LARGE = 500_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def _modules() -> None:
    make_modules("foreign-modules")


@pytest.mark.parametrize(
    ("job", "module", "inputs"),
    [
        pytest.param(
            "solve.yaml", "boolector.wasm", "formulas/*.smt2", id="a solver of 1.3 MB answers as on bare wasmtime"
        ),
        pytest.param("draw.yaml", "resvg.wasm", "drawings/*.svg", id="a renderer of 4.4 MB draws as on bare wasmtime"),
    ],
)
def test_a_foreign_module_runs_unchanged(job: str, module: str, inputs: str, tmp_path: Path) -> None:
    assert (FOLDER / "modules" / module).stat().st_size > LARGE
    done = run_job(FOLDER / job, tmp_path / "results", tmp_path / "state")
    assert done["chunks"]["succeeded"] == len(list(FOLDER.glob(inputs)))
    assert "right: every byte" in check(EXAMPLES / "compare.py", FOLDER / job, tmp_path / "results")


def test_the_solver_finds_the_factors_and_refutes_the_wrong_claim(tmp_path: Path) -> None:
    run_job(FOLDER / "solve.yaml", tmp_path / "results", tmp_path / "state")
    answers = {path.stem: path.read_text() for path in (tmp_path / "results").glob("*.answer")}
    assert "_ bv7853 32" in answers["factors"]
    assert "_ bv7879 32" in answers["factors"]
    assert answers["sorting-network"] == "unsat\n"
