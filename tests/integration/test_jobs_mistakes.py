"""Jobs that cannot work, as somebody made a mistake: each ends soon, and says what is wrong and what to do."""

from collections.abc import Iterator

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import REAL, JobHouse, module_server
from tests.integration.job_stores import leftovers
from tests.integration.operator_rig import Object, operator_rig
from tests.support import wat

MEMBERS = 3
MODULES = {"/echo": wat.echo(), "/trap": wat.trap(), "/lines": b"one\ntwo\n"}
FUNCTIONS = 150_000


@pytest.fixture(scope="module")
def house(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobHouse]:
    """One operator and one pool for all tests of this file."""
    files = {**MODULES, "/bomb": bomb()}
    with operator_rig(controlled, tmp_path_factory.mktemp("mistakes"), real=True) as rig, module_server(files) as url:
        rig.start("a")
        rig.pool(MEMBERS, resources=REAL)
        rig.until_members(ready=MEMBERS)
        yield JobHouse(rig, url)
        for plural in ("jobs", "taskgraphs"):
            for one in rig.all(plural):
                rig.delete(plural, one["metadata"]["name"])
        rig.wait(lambda: leftovers(rig, MEMBERS), lambda left: not left, "nothing is left")


def bomb() -> bytes:
    """A module of very many small functions, whose compilation needs more memory than a member has for it."""
    body = bytes((0, 0x20, 0, 0x41, 1, 0x6A, 0x0B))  # no locals; local.get 0, i32.const 1, i32.add, end
    types = bytes((2, 0x60, 1, 0x7F, 1, 0x7F, 0x60, 0, 0))  # i32 -> i32, and () -> ()
    functions = leb(FUNCTIONS + 1) + bytes((1,)) + bytes(FUNCTIONS)
    exports = bytes((2, 6)) + b"memory" + bytes((2, 0, 6)) + b"_start" + bytes((0, 0))
    codes = leb(FUNCTIONS + 1) + bytes((2, 0, 0x0B)) + (bytes((len(body),)) + body) * FUNCTIONS
    parts = ((1, types), (3, functions), (5, bytes((1, 0, 1))), (7, exports), (10, codes))
    return b"\x00asm\x01\x00\x00\x00" + b"".join(bytes((kind,)) + leb(len(part)) + part for kind, part in parts)


def leb(number: int) -> bytes:
    """Unsigned LEB128, as WebAssembly writes its numbers."""
    low, high = number & 0x7F, number >> 7
    return bytes((low | 0x80,)) + leb(high) if high else bytes((low,))


def failure(house: JobHouse, name: str, plural: str = "jobs") -> tuple[str, str]:
    """The reason and the words with which it has failed."""
    house.until(name, "Failed", plural)
    said = house.rig.condition(name, "Failed", plural)
    return said["reason"], said["message"]


def module(house: JobHouse, name: str, **more: str) -> Object:
    return {"module": {"url": f"{house.url}/{name}", **more}}


@pytest.mark.unhappy("a module with another hash than the job says")
def test_a_module_of_another_hash_is_not_run(house: JobHouse) -> None:
    house.job("hash", tasklet=module(house, "echo", sha256="0" * 64))
    reason, words = failure(house, "hash")
    assert (reason, "sha256" in words.lower(), "/echo" in words) == ("InvalidInput", True, True), words


@pytest.mark.unhappy("a module that is missing, and one that is no WebAssembly")
def test_modules_that_are_none_are_named(house: JobHouse) -> None:
    house.job("missing", "nowhere")
    house.job("text", "lines")
    missing, text = failure(house, "missing"), failure(house, "text")
    assert (missing[0], "/nowhere" in missing[1]) == ("InvalidInput", True), missing
    assert "/lines" in text[1], text


@pytest.mark.unhappy("a module too large for what the pool's members may compile with")
def test_a_module_that_needs_a_larger_pool_to_be_compiled_says_so(house: JobHouse) -> None:
    house.job("large", "bomb", count=1)
    reason, words = failure(house, "large")
    assert (reason, "memory" in words) == ("ChunksFailed", True), words


@pytest.mark.unhappy("a URI that nobody may read, and one to which nobody may write")
def test_a_uri_without_access_is_named(house: JobHouse) -> None:
    house.job("unread", input={"lines": {"uri": f"{house.url}/secret", "perChunk": 1}})
    house.job("unwritten", output={"copyTo": {"uri": "s3://nobodys-bucket/out"}, "store": "None"})
    unread, unwritten = failure(house, "unread"), failure(house, "unwritten")
    assert (unread[0], "/secret" in unread[1]) == ("InvalidInput", True), unread
    assert "s3://nobodys-bucket/out" in unwritten[1], unwritten


@pytest.mark.unhappy("a failing task in a graph on a cluster: those that need it are skipped, the others run")
def test_a_failing_task_skips_what_needs_it_and_nothing_else(house: JobHouse) -> None:
    def task(name: str, source: str, **more: object) -> Object:
        return {"name": name, "tasklet": house.module(source), **more}

    after: Object = {"dependsOn": ["bad"], "input": {"from": ["bad"]}}
    tasks = [
        task("bad", "trap", input={"count": 2}),
        task("good", "echo", input={"count": 3}),
        task("after", "echo", **after),
    ]
    house.graph("partly", tasks, output={"store": "None"})
    reason, words = failure(house, "partly", "taskgraphs")
    told = {one["name"]: one["state"] for one in house.rig.status("taskgraphs", "partly")["tasks"]}
    assert told == {"bad": "Failed", "good": "Succeeded", "after": "Skipped"}
    assert (reason, "bad" in words) == ("ChunksFailed", True), words


@pytest.mark.unhappy("a job that asks for what no pool has")
def test_a_job_that_no_pool_can_run_says_what_it_lacks(house: JobHouse) -> None:
    house.job("huge", lease={"requirements": {"cpu": "64"}})
    house.job("nowhere", lease={"poolRefs": [{"name": "none"}]})
    huge, nowhere = failure(house, "huge"), failure(house, "nowhere")
    assert "'cpu'" in huge[1], huge
    assert "pool: none" in nowhere[1], nowhere
