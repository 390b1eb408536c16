"""Indexes of chunks in little room: as ranges that grow one by one, and as the text that stands in a status."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice

from tasklet_runner.wire.jobs import MAX_INDEX_CHARACTERS


class IndexRanges:
    """A set of indexes from 0, as runs of neighbours. Chunks end nearly in order, so that there are few runs.

    Adding costs O(log runs) but for the move of a list's tail, a text no more than its length: neither grows with the
    number of chunks.
    """

    def __init__(self, indexes: Iterable[int] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._count = 0
        for index in indexes:
            self.add(index)

    def __len__(self) -> int:
        return self._count

    def add(self, index: int) -> None:
        """Put one in; one that is in it already changes nothing."""
        after = bisect_right(self._firsts, index)
        if after and index <= self._lasts[after - 1]:
            return
        self._count += 1
        follows = bool(after) and self._lasts[after - 1] == index - 1
        precedes = after < len(self._firsts) and self._firsts[after] == index + 1
        if follows and precedes:
            self._lasts[after - 1] = self._lasts.pop(after)
            del self._firsts[after]
        elif follows:
            self._lasts[after - 1] = index
        elif precedes:
            self._firsts[after] = index
        else:
            self._firsts.insert(after, index)
            self._lasts.insert(after, index)

    def rest(self, total: int) -> "IndexRanges":
        """Those below `total` that are not in it."""
        others = IndexRanges()
        begin = 0
        for first, last in (*self._runs(), (total, total)):
            if begin < min(first, total):
                others._firsts.append(begin)
                others._lasts.append(min(first, total) - 1)
                others._count += others._lasts[-1] - begin + 1
            begin = last + 1
        return others

    def text(self, limit: int = MAX_INDEX_CHARACTERS) -> str:
        """As `0-4,7,9-12`, the form of `completedIndexes` in batch/v1.

        At most `limit` characters: what does not fit is counted at the end, as in `0-4,7 +120 more`.
        """
        texts, length = [], -1
        for first, last in self._runs():
            texts.append(str(first) if first == last else f"{first}-{last}")
            length += len(texts[-1]) + 1
            if length > limit:
                return self._cut(texts, limit)
        return ",".join(texts)

    def _cut(self, texts: list[str], limit: int) -> str:
        """The first of these that leave room for the count of all others."""
        room = limit - len(_rest_text(self._count))
        fitting = sum(end <= room for end in accumulate(len(text) + 1 for text in texts))
        counted = sum(last - first + 1 for first, last in islice(self._runs(), fitting))
        return (",".join(texts[:fitting]) + _rest_text(self._count - counted)).lstrip()

    def _runs(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)


def _rest_text(count: int) -> str:
    return f" +{count} more"
