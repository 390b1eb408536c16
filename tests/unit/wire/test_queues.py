"""Names of queues in requests, and keys of commit records."""

import pytest

from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.queues import CommitRecord, queue_name, queue_path


@pytest.mark.parametrize("name", ["parts", "map/part-3", "größer", "a b?c#d", "%2F"])
def test_a_name_comes_out_of_a_path_as_it_went_in(name: str) -> None:
    path = queue_path(name, "receive")

    assert queue_name(path) == name
    assert path.endswith("/receive")
    assert "?" not in path


@pytest.mark.parametrize(("path", "what"), [("/v1/queues/%ff/push", "not UTF-8"), ("/v1/queues//push", "key")])
def test_a_path_that_names_no_queue_is_refused(path: str, what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        queue_name(path)


def test_a_commit_record_names_the_objects_of_its_attempt() -> None:
    record = CommitRecord("map", 3, 2, "3-abc")

    assert record.key() == "map/3/2/stdout"
    assert record.key("part-7") == "map/3/2/part-7"
