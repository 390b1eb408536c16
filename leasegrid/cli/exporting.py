"""Outputs on their way to the user: as files of a results directory, or inline where they are small."""

import asyncio
from pathlib import Path

import click
import msgspec

from leasegrid.cli import words
from leasegrid.cli.endings import Exported, Output
from leasegrid.cli.kept import KeptRun, hold_kept, with_kept
from leasegrid.cli.places import check_directory
from leasegrid.local.state import StateDirectory
from tasklet_runner.data.access import ENVIRONMENT
from tasklet_runner.plan.types import Kind, Layout, Plan
from tasklet_runner.store.deliveries import deliveries
from tasklet_runner.store.protocol import JobStore, Outputs, all_commits
from tasklet_runner.store.results import export_results
from tasklet_runner.wire.errors import ResultsError

INLINE_BYTES = 16 * 1024 * 1024
"""Outputs of a job without a store are passed through memory to stdout; more than this belongs into files."""


async def export_outputs(store: Outputs, plan: Plan, directory: Path) -> Exported:
    """Write the outputs of a Job's first stage into the directory, those of its aggregate into a directory of its name.

    Of a TaskGraph the outputs of the tasks that nobody reads: of one into the directory, of several into directories
    of their names. Raises ResultsError, StoreError.
    """
    files = byte_count = chunks = 0
    for delivery in deliveries(plan):
        report = await export_results(store, delivery.stage, directory / delivery.directory, delivery.layout)
        numbered = directory / delivery.directory / "0.stdout"
        if delivery.alone and numbered.exists():
            numbered.replace(numbered.with_name("stdout"))
        files, byte_count = files + report.files, byte_count + report.byte_count
        chunks += report.chunks
    return Exported(str(directory), files, byte_count, chunks)


async def copied_outputs(store: JobStore, plan: Plan) -> Exported:
    """Copy the outputs to where the plan says, with the credentials of this process's environment.

    Raises ResultsError, StoreError.
    """
    # Here and not above: most runs copy nothing, and start sooner.
    from tasklet_runner.data.copying import copy_outputs

    receipt = await copy_outputs(store, plan, ENVIRONMENT)
    return Exported(receipt.uri, receipt.files, receipt.bytes)


async def inline_outputs(store: JobStore, plan: Plan) -> tuple[Output, ...]:
    """The stdout of each chunk of a Job's last stage, or of a TaskGraph's tasks that nobody reads: all of a run
    without a store, else the one of a single chunk.

    Raises ResultsError when they are more than may pass through memory; StoreError.
    """
    last = plan.stages[-1:] if plan.kind is Kind.JOB else plan.sinks
    if plan.output.store != "None" and sum([len(await store.commits(stage.name, 0, 2)) for stage in last]) != 1:
        return ()
    outputs: list[Output] = []
    total = 0
    for stage in last:
        async for record in all_commits(store, stage.name):
            if record.fault is not None:
                continue
            total += (await store.stat(record.key())).size
            if total > INLINE_BYTES:
                return _too_much(plan)
            task = "" if len(last) == 1 else stage.name
            outputs.append(Output(record.index, await store.read(record.key()), task))
    return tuple(outputs)


def _too_much(plan: Plan) -> tuple[Output, ...]:
    if plan.output.store != "None":
        return ()
    raise ResultsError(
        f"the outputs are more than {words.size(INLINE_BYTES)}, too much to be returned inline",
        remedy="use --results DIR, or spec.output.store: Block",
    )


def export_kept(namespace: str, name: str, directory: Path, *, release: bool, layout: Layout | None) -> int:
    """`leasegrid results`: write the outputs of a job that the state directory keeps; returns the exit status.

    `layout` None: the job's own; another one serves where two chunks wrote one path. The store of a finished job is
    released then; that of an interrupted one, which can go on, only with `release`.
    """
    check_directory(directory)
    state = StateDirectory.default()
    try:
        volume = hold_kept(state, namespace, name)
        try:
            exported, finished = asyncio.run(with_kept(volume, lambda run: _export(run, directory, layout)))
        except BaseException:
            volume.release()
            raise
        if finished or release:
            state.delete(volume, "Fetched")
        else:
            volume.release()
    finally:
        state.close()
    stays = "released" if finished or release else "kept: the job was interrupted, and its next run goes on from there"
    click.echo(f"{name}: {words.count(exported.files, 'file')}, {words.size(exported.bytes)} in {directory}")
    click.echo(f"  its store is {stays}")
    return 0


async def _export(run: KeptRun, directory: Path, layout: Layout | None) -> tuple[Exported, bool]:
    plan = run.plan
    if layout is not None:
        plan = msgspec.structs.replace(plan, output=msgspec.structs.replace(plan.output, layout=layout))
    return await export_outputs(run.store, plan, directory), run.finished
