"""Outputs that stand in the job's own object, where nothing else is kept of them."""

import asyncio
import base64

import msgspec

from tasklet_runner.plan.types import Kind, Plan
from tasklet_runner.store.protocol import JobStore, all_commits
from tasklet_runner.wire.jobs import MAX_INLINE_CHARACTERS, InlineOutput
from tasklet_runner.wire.queues import CommitRecord

AT_ONCE = 32
"""Outputs that are read at a time: each is a request, and a job of many chunks ends with them."""

_LEAST_CHARACTERS = len(msgspec.json.encode(InlineOutput(index=0))) + 1


async def inline_outputs(store: JobStore, plan: Plan) -> str:
    """The stdout of each chunk of a Job's last stage, or of a TaskGraph's tasks that nobody reads, as JSON.

    Empty where the job keeps its outputs, and where they are too large: then they stay in its store for a while.
    Raises StoreError.
    """
    if plan.output.store != "None":
        return ""
    last = plan.stages[-1:] if plan.kind is Kind.JOB else plan.sinks
    records: list[CommitRecord] = []
    for stage in last:
        async for record in all_commits(store, stage.name):
            if record.fault is None:
                records.append(record)
            if len(records) * _LEAST_CHARACTERS > MAX_INLINE_CHARACTERS:
                return ""
    return await _read_all(store, records, named=len(last) > 1)


async def _read_all(store: JobStore, records: list[CommitRecord], *, named: bool) -> str:
    outputs: list[InlineOutput] = []
    characters = 2
    for first in range(0, len(records), AT_ONCE):
        batch = records[first : first + AT_ONCE]
        sizes = await asyncio.gather(*(store.stat(one.key()) for one in batch))
        if max(one.size for one in sizes) > MAX_INLINE_CHARACTERS:
            return ""
        contents = await asyncio.gather(*(store.read(one.key()) for one in batch))
        read = [
            _output(one.stage if named else "", one.index, content)
            for one, content in zip(batch, contents, strict=True)
        ]
        outputs += read
        characters += sum(len(msgspec.json.encode(one).decode()) + 1 for one in read)
        if characters > MAX_INLINE_CHARACTERS:
            return ""
    return msgspec.json.encode(outputs).decode() if outputs else ""


def _output(task: str, index: int, data: bytes) -> InlineOutput:
    try:
        return InlineOutput(index=index, task=task, text=data.decode())
    except UnicodeDecodeError:
        return InlineOutput(index=index, task=task, base64=base64.b64encode(data).decode())
