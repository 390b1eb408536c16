"""Outputs that stand in the job's own object, where nothing else is kept of them."""

import base64

import msgspec

from tasklet_runner.plan.types import Kind, Plan
from tasklet_runner.store.protocol import JobStore, all_commits
from tasklet_runner.wire.jobs import MAX_INLINE_CHARACTERS, InlineOutput


async def inline_outputs(store: JobStore, plan: Plan) -> str:
    """The stdout of each chunk of a Job's last stage, or of a TaskGraph's tasks that nobody reads, as JSON.

    Empty where the job keeps its outputs, and where they are too large: then they stay in its store for a while.
    Raises StoreError.
    """
    if plan.output.store != "None":
        return ""
    last = plan.stages[-1:] if plan.kind is Kind.JOB else plan.sinks
    outputs: list[InlineOutput] = []
    characters = 2
    for stage in last:
        async for record in all_commits(store, stage.name):
            if record.fault is not None:
                continue
            if (await store.stat(record.key())).size > MAX_INLINE_CHARACTERS:
                return ""
            outputs.append(_output(stage.name if len(last) > 1 else "", record.index, await store.read(record.key())))
            characters += len(msgspec.json.encode(outputs[-1]).decode()) + 1
            if characters > MAX_INLINE_CHARACTERS:
                return ""
    return msgspec.json.encode(outputs).decode() if outputs else ""


def _output(task: str, index: int, data: bytes) -> InlineOutput:
    try:
        return InlineOutput(index=index, task=task, text=data.decode())
    except UnicodeDecodeError:
        return InlineOutput(index=index, task=task, base64=base64.b64encode(data).decode())
