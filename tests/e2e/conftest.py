"""One cluster for all tests of this tier, made by README.md's own commands, and when the tier cannot run."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.figures import Figures
from tests.e2e.kind_rig import Kind
from tests.e2e.readme import Journey, commands
from tests.e2e.rooms import Room, room
from tests.support.running import REPOSITORY

PROGRAMS = ("docker", "kind", "kubectl", "helm")
LOGS = REPOSITORY / "build" / "e2e-logs"
FIRST, LAST = ("test_readme",), ("test_nodes", "test_soak", "test_upgrade", "test_uninstall")
"""A newcomer comes first; what shakes the cluster comes last, and nothing comes after the uninstall."""
SECONDS = 1200
"""For any test; for the soak besides what it is told to take."""
FIGURES = pytest.StashKey[Figures]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster", help="work on this kind cluster, which README.md's commands have made before, and leave it"
    )
    parser.addoption("--soak-minutes", type=float, default=3, help="so long the cluster is shaken")
    parser.addoption("--soak-seed", type=int, default=1, help="of all that is drawn then")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One cluster has one history: modules in their order, tests as they stand in them, whatever shuffled them."""
    here = [one for one in items if Path(__file__).parent in one.path.parents]
    for item in here:
        item.add_marker(pytest.mark.timeout(SECONDS + 60 * config.getoption("--soak-minutes")))
    items[:] = [one for one in items if one not in here] + sorted(here, key=_place)


def _place(item: pytest.Item) -> tuple[int, str, int]:
    module = item.path.stem
    rank = FIRST.index(module) - len(FIRST) if module in FIRST else LAST.index(module) + 1 if module in LAST else 0
    return rank, module, item.function.__code__.co_firstlineno if isinstance(item, pytest.Function) else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The figures; or one line that says why the tier did not run, in place of one for each test."""
    lines = config.stash[FIGURES].lines
    if missing():
        terminalreporter.write_line(f"e2e: {missing()}")
    if lines:
        terminalreporter.section("figures")
    for what, much in lines:
        terminalreporter.write_line(f"{what:<70} {much}")


def missing() -> str:
    """Why the tier cannot run; empty when it can."""
    away = [program for program in PROGRAMS if shutil.which(program) is None]
    if away:
        return f"this tier needs {', '.join(PROGRAMS)} on the PATH, and has no {', '.join(away)}"
    answered = subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    return "" if answered else "this tier needs Docker, and its daemon does not answer"


def kept_cluster(config: pytest.Config) -> str:
    """The cluster to work on and to leave; empty: one is made. Where other tiers run too, the option is not known."""
    return str(config.getoption("--cluster", default=None) or "")


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """What is printed at the end."""
    return request.config.stash[FIGURES]


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    """A cluster of this session's name, which is not made yet; whatever is there of it at the end is deleted."""
    why = missing()
    if why and os.environ.get("CI"):
        pytest.exit(why, returncode=1)
    if why:
        pytest.skip(why)
    kept = kept_cluster(request.config)
    cluster = Kind(kept or f"e2e-{uuid.uuid4().hex[:6]}", tmp_path_factory.mktemp("user"))
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to end", returncode=143))
    if kept:
        cluster.run("kind", "export", "kubeconfig")
    yield cluster
    if request.session.testsfailed:
        export_logs(cluster)
    if not kept:
        cluster.run("kind", "delete", "cluster")
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def journey(kind: Kind, request: pytest.FixtureRequest) -> Journey:
    """README.md's commands, done one after the other; none of them on a cluster that was there before."""
    done = Journey()
    for command in [] if kept_cluster(request.config) else commands():
        done.take(kind, command)
    return done


@pytest.fixture(scope="session")
def cluster(kind: Kind, journey: Journey) -> Kind:
    """The cluster with the operator and the pool `cpu` in the namespace `default`, as README.md leaves it."""
    assert journey is not None
    return kind


@pytest.fixture
def space(cluster: Kind) -> Iterator[Room]:
    """A namespace for one test, of Pod Security level `restricted`."""
    with room(cluster, f"test-{uuid.uuid4().hex[:6]}") as made:
        yield made


def export_logs(cluster: Kind) -> None:
    """What the nodes and all containers have logged, for people to read; a cluster that never came up has none."""
    shutil.rmtree(LOGS, ignore_errors=True)
    subprocess.run(["kind", "export", "logs", str(LOGS)], env=cluster.environment, capture_output=True, check=False)
    print(f"e2e: the cluster's logs are in {LOGS}", file=sys.stderr)
