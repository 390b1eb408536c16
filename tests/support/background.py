"""A thread beside a test, whose failure is the test's."""

import threading
from collections.abc import Callable
from typing import Self


class Background:
    """Calls `work` in a thread while the `with` block runs. It is given the event that is set at the block's end, after
    which it is waited for; what it raised is raised there.
    """

    def __init__(self, work: Callable[[threading.Event], None], name: str) -> None:
        self._work = work
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _guarded(self) -> None:
        try:
            self._work(self._stop)
        except BaseException as failure:  # noqa: BLE001  # the edge of a thread: raised again in __exit__
            self._failure = failure
