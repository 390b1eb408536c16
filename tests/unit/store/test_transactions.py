"""Several processes may begin to use one database at once."""

import sqlite3
import threading
from pathlib import Path

from tasklet_runner.store.transactions import write_ahead


def test_a_database_in_use_is_waited_for_until_it_can_have_its_log(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    first = sqlite3.connect(path, isolation_level=None)
    first.execute("CREATE TABLE t(x)")
    first.execute("BEGIN IMMEDIATE")
    ended: list[str] = []

    def second() -> None:
        connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        write_ahead(connection)
        ended.append(connection.execute("PRAGMA journal_mode").fetchone()[0])
        connection.close()

    waiting = threading.Thread(target=second)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive(), "the other one holds the lock yet"
    first.execute("COMMIT")
    first.close()
    waiting.join(10)
    assert ended == ["wal"]
