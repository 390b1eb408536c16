"""Objects that are at hand whole, as rows of the index: small ones with their bytes, large ones written to files."""

import hashlib
from collections.abc import Sequence

from tasklet_runner.store.files import FileArea
from tasklet_runner.store.index import ObjectRow
from tasklet_runner.store.protocol import NewObject
from tasklet_runner.wire.digests import BlockSums
from tasklet_runner.wire.programs import INLINE_OUTPUT_BYTES


def object_rows(objects: Sequence[NewObject], files: FileArea) -> list[ObjectRow]:
    """The rows; files are complete and durable. Blocking; an OSError leaves no file behind."""
    rows: list[ObjectRow] = []
    try:
        for item in objects:
            data = item.data
            if len(data) <= INLINE_OUTPUT_BYTES:
                rows.append(ObjectRow(item.key, len(data), hashlib.sha256(data).digest(), data=data))
            else:
                rows.append(_file_row(item, files))
    except OSError:
        files.remove(row.file for row in rows if row.file is not None)
        raise
    return rows


def _file_row(item: NewObject, files: FileArea) -> ObjectRow:
    incoming, sums = files.create(), BlockSums()
    try:
        incoming.write(item.data)
        incoming.finish()
    except OSError:
        incoming.abandon()
        raise
    sums.add(item.data)
    return ObjectRow(item.key, len(item.data), hashlib.sha256(item.data).digest(), incoming.token, sums.finish())
