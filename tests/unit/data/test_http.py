"""Modules and texts over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasklet_runner.coordinator import sources
from tasklet_runner.coordinator.sources import fetch
from tasklet_runner.data.access import ENVIRONMENT
from tasklet_runner.data.failures import reading
from tasklet_runner.data.states import remote_states
from tasklet_runner.data.storages import Storages
from tasklet_runner.plan.types import CountInput, Source
from tasklet_runner.wire.errors import InputError
from tests.support.registry import Registry, serve
from tests.support.runs import TASKLET, plan, stage


@dataclass
class Site(Registry):
    """A web server: one file, where it redirects, and refusals by their status."""

    content: bytes = b"first"

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a GET."""
        if path in {"/file", "/file?sig=1"}:
            return 200, {"ETag": f'"{hash(self.content)}"'}, self.content
        if path == "/moved":
            return 302, {"Location": "/file"}, b""
        if path == "/round":
            return 302, {"Location": "/round"}, b""
        return int(path[1:]), {}, b""


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site()) as served:
        assert isinstance(served, Site)
        yield served


def got(url: str, path: Path) -> bytes:
    return fetch(Source(uri=url), path / "got", "the module", Storages()).path.read_bytes()


@pytest.mark.parametrize("page", ["file", "moved"])
def test_a_module_is_fetched_where_its_url_leads(site: Site, tmp_path: Path, page: str) -> None:
    assert got(f"http://{site.host}/{page}", tmp_path) == b"first"


@pytest.mark.unhappy("a module by URL: missing, forbidden, broken, redirected for ever, too large, nobody there")
@pytest.mark.parametrize(
    ("page", "says"),
    [
        pytest.param("404", "cannot be found", id="missing"),
        pytest.param("403", "may not be read: 403", id="forbidden"),
        pytest.param("401", "may not be read: 401", id="without login"),
        pytest.param("500", "cannot be read: 500", id="broken"),
        pytest.param("round", "cannot be read: ", id="redirected for ever"),
    ],
)
def test_a_module_that_cannot_be_had_is_named_with_why(site: Site, tmp_path: Path, page: str, says: str) -> None:
    with pytest.raises(InputError, match=f"the module http://{site.host}/{page} {says}"):
        got(f"http://{site.host}/{page}", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"http://127.0.0.1:9/x cannot be read: .*127.0.0.1:9"):
        got("http://127.0.0.1:9/x", tmp_path)


def test_what_is_larger_than_any_module_is_not_fetched_to_its_end(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_SOURCE_BYTES", 1024 * 1024)
    site.content = b"x" * 4 * 1024 * 1024
    with pytest.raises(InputError, match="is larger than 1 MiB"):
        got(f"http://{site.host}/file", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_has_changed_since_it_was_listed_is_refused(site: Site) -> None:
    url = f"http://{site.host}/file"
    storage = Storages().of(url)
    found = storage.stat(url)
    assert (found.location, found.size) == (url, 5)
    with storage.open(found) as file:
        assert file.read(100) == b"first"
    site.content = b"other"
    with pytest.raises(InputError, match="has changed since it was listed"), reading(url), storage.open(found):
        pass


def test_a_url_without_wildcard_is_one_input_and_a_query_is_no_wildcard(site: Site) -> None:
    (found,) = Storages().of(f"http://{site.host}").glob(f"http://{site.host}/file")
    assert found.size == 5
    (signed,) = Storages().of(f"http://{site.host}").glob(f"http://{site.host}/file?sig=1")
    assert signed.location.endswith("/file?sig=1")
    assert Storages().of(f"http://{site.host}").glob(f"http://{site.host}/404") == []
    with pytest.raises(InputError, match="may not be read"), reading("the glob"):
        Storages().of(f"http://{site.host}").glob(f"http://{site.host}/403")


def test_the_state_of_a_module_changes_with_its_content_and_is_left_out_where_nobody_tells_it(site: Site) -> None:
    def states(page: str) -> object:
        tasklet = TASKLET.__class__(
            name="t", language=TASKLET.language, source=Source(uri=f"http://{site.host}/{page}")
        )
        return remote_states(plan(stage(CountInput(count=1), tasklet=tasklet)), ENVIRONMENT)

    before = states("file")
    assert states("file") == before
    site.content = b"other"
    assert states("file") != before
    assert states("404") == {}
