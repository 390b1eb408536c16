"""One server per store: an exclusive lock for the life of the process that opened it."""

from pathlib import Path

from tasklet_runner.durable.locks import FileLock


class DirectoryLock(FileLock):
    """The lock of a store: `<directory>/lock`. Raises StateDirectoryError when another process serves it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "lock", f"the store in {directory}")
