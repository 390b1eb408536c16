"""Modules from registries and over HTTP, and Python's wheels, with `leasegrid run` as a user has it."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from tests.process.jobs import run_job
from tests.support import registry as rig
from tests.support import wat
from tests.support.registry import Registry, manifest_of, serve
from tests.support.running import Place

HELLO = wat.write_line("hello")
ADDITION = "def add(a, b): return a + b\n"
LAYERED = manifest_of((rig.WASM, HELLO))


def stdout_of(place: Place, spec: str) -> str:
    finished = run_job(place, spec, {}, "--results", str(place.root / "results"))
    assert finished.ended.code == 0, str(finished.ended)
    return (place.root / "results" / "0" / "stdout").read_text()


def test_a_module_comes_from_a_registry_with_the_login_of_docker(tmp_path: Path) -> None:
    with serve(Registry(login="Bearer")) as registry:
        registry.push("v1", LAYERED, HELLO)
        place = Place(tmp_path, {"DOCKER_CONFIG": str(tmp_path)})
        (tmp_path / "config.json").write_bytes(rig.docker_config(registry.host))
        spec = f"  tasklet: {{module: {{oci: {{reference: '{registry.host}/a/tool:v1'}}}}}}\n  input: {{count: 1}}\n"
        assert stdout_of(place, spec) == "hello\n"


def test_a_module_comes_from_the_registry_that_docker_runs(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    with rig.docker_registry(tmp_path / "registry") as host:
        rig.push_to(host, "a/tool", "v1", LAYERED, HELLO)
        digest = rig.digest_of(LAYERED)
        for number, reference in enumerate((f"{host}/a/tool:v1", f"{host}/a/tool@{digest}")):
            module = f"{{oci: {{reference: '{reference}'}}, sha256: {hashlib.sha256(HELLO).hexdigest()}}}"
            spec = f"  tasklet: {{module: {module}}}\n  input: {{count: 1}}\n"
            assert stdout_of(Place(tmp_path / str(number)), spec) == "hello\n"


@pytest.mark.unhappy("a module in a registry: missing, without login, with another hash than the job says")
@pytest.mark.parametrize(
    ("tag", "login", "digest", "says"),
    [
        pytest.param("v2", "", "", "cannot be found", id="missing"),
        pytest.param("v1", "Bearer", "", "may not be read: 401", id="without login"),
        pytest.param("v1", "", "0" * 64, "has the SHA-256", id="with another hash"),
    ],
)
def test_a_module_that_cannot_be_had_is_told_before_anything_starts(
    tmp_path: Path, tag: str, login: str, digest: str, says: str
) -> None:
    with serve(Registry(login=login)) as registry:
        registry.push("v1", LAYERED, HELLO)
        checked = f", sha256: '{digest}'" if digest else ""
        module = f"{{oci: {{reference: '{registry.host}/a/tool:{tag}'}}{checked}}}"
        place = Place(tmp_path, {"DOCKER_CONFIG": str(tmp_path)})
        finished = run_job(place, f"  tasklet: {{module: {module}}}\n  input: {{count: 1}}\n", {})

    assert finished.ended.code == 4, str(finished.ended)
    assert says in finished.job["message"]
    assert finished.job["receipt"]["members"] == 0


def wheel(name: str, files: dict[str, str], metadata: str = "") -> tuple[str, bytes]:
    """A wheel of that file name, as a build tool makes it."""
    distribution, version = name.split("-")[:2]
    described = f"{distribution}-{version}.dist-info"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{described}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            f"{described}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{metadata}"
        )
        archive.writestr(f"{described}/RECORD", "")
    return name, data.getvalue()


def write_wheels(place: Place, *wheels: tuple[str, bytes]) -> str:
    for name, data in wheels:
        (place.root / name).write_bytes(data)
    return ", ".join(name for name, _ in wheels)


@pytest.mark.usefixtures("shipped_python")
@pytest.mark.parametrize("mode", ["Fresh", "Loop"])
def test_a_python_tasklet_imports_its_wheels_and_their_metadata(tmp_path: Path, mode: str) -> None:
    place = Place(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text("ANSWER = 40\n")
    wheels = write_wheels(
        place,
        wheel("greeting-1.0-py3-none-any.whl", {"greeting/__init__.py": "def hello(): return 'hello'\n"}),
        wheel("addition-2.5-py2.py3-none-any.whl", {"addition-2.5.data/purelib/addition.py": ADDITION}),
    )
    printing = {
        "Fresh": "print(greeting.hello(), addition.add(mine.ANSWER, 2), version('addition'))",
        "Loop": (
            "[print(json.dumps({'id': json.loads(line)['id'], 'output': f\"{greeting.hello()} "
            "{addition.add(mine.ANSWER, 2)} {version('addition')}\\n\"}), flush=True) for line in sys.stdin]"
        ),
    }[mode]
    (tmp_path / "main.py").write_text(
        f"import json, sys, greeting, addition, mine\nfrom importlib.metadata import version\n{printing}\n"
    )
    spec = (
        f"  tasklet:\n    python: {{mode: {mode}, source: {{path: main.py}}, wheels: [{wheels}]}}\n"
        "    env: [{name: PYTHONPATH, value: /own}]\n    mounts: [{mountPath: /own, source: {path: own}}]\n"
        "  input: {count: 1}\n"
    )
    assert stdout_of(place, spec) == "hello 42 2.5\n"


@pytest.mark.unhappy("a wheel with native code, or for another Python: refused by its name before anything starts")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(wheel("fast-1-cp312-cp312-manylinux_2_17_x86_64.whl", {}), "is for cp312-cp312", id="by its name"),
        pytest.param(wheel("old-1-py2-none-any.whl", {}), "is for py2-none-any", id="Python 2"),
        pytest.param(wheel("lying-1-py3-none-any.whl", {"x/_y.so": ""}), "has native code: x/_y.so", id="by a file"),
        pytest.param(
            wheel("new-1-py3-none-any.whl", {}, "Requires-Python: >=3.13\n"), "wants Python >=3.13", id="a newer Python"
        ),
        pytest.param(("broken-1-py3-none-any.whl", b"no archive"), "cannot be unpacked", id="no archive"),
        pytest.param(("broken.zip", b""), "broken.zip is no wheel", id="no wheel"),
    ],
)
def test_a_wheel_that_cannot_run_is_refused_by_name(tmp_path: Path, given: tuple[str, bytes], says: str) -> None:
    place = Place(tmp_path)
    name = write_wheels(place, given)
    spec = f"  tasklet: {{python: {{source: {{inline: 'pass'}}, wheels: [{name}]}}}}\n  input: {{count: 1}}\n"
    finished = run_job(place, spec, {})

    assert finished.ended.code == 4, str(finished.ended)
    assert says in finished.job["message"]
    assert finished.job["receipt"]["members"] == 0
