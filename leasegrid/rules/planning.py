"""A Job compiled to a plan: one stage, or two with an aggregate."""

from leasegrid.api.enums import OutputFiles
from leasegrid.api.job import Job, JobSpec
from leasegrid.rules.run_planning import plan_cache, plan_data_secret, plan_input, plan_lease, plan_output, plan_retry
from leasegrid.rules.tasklet_planning import names_path, plan_tasklet, writes_files
from leasegrid.rules.unsupported import Place, refuse, unsupported
from tasklet_runner.plan import types as plan

MAIN_STAGE = "main"
AGGREGATE_STAGE = "aggregate"


def plan_job(job: Job, *, base: str, place: Place = Place.MACHINE) -> plan.Plan:
    """The plan of a valid Job, to be run at `place`. `base` is the absolute directory that its relative paths start
    from.

    Raises:
        UnsupportedError: the Job says something that this version cannot do; all of it is named.
    """
    refuse(unsupported(job.spec, place))
    stages = _stages(job.spec, base)
    return plan.Plan(
        namespace=job.metadata.namespace,
        name=job.metadata.name,
        stages=stages,
        waves=tuple((stage.name,) for stage in stages),
        output=plan_output(job.spec, base),
        active_deadline_seconds=job.spec.active_deadline_seconds or 0,
        suspended=job.spec.suspend,
        data_secret=plan_data_secret(job.spec),
    )


def _stages(spec: JobSpec, base: str) -> tuple[plan.Stage, ...]:
    main = _main_stage(spec, base)
    if spec.aggregate is None:
        return (main,)
    reads = plan_tasklet(
        spec.aggregate.tasklet,
        base,
        input_files=main.tasklet.output_files,
        output_files=writes_files(spec.aggregate.tasklet),
    )
    return (main, _aggregate_stage(spec, reads))


def _main_stage(spec: JobSpec, base: str) -> plan.Stage:
    # Files that nobody names are still wanted when the aggregate reads them below /in.
    read_later = spec.aggregate is not None and names_path(spec.aggregate.tasklet, "/in")
    auto = read_later and spec.tasklet.output_files is OutputFiles.AUTO
    return plan.Stage(
        name=MAIN_STAGE,
        tasklet=plan_tasklet(
            spec.tasklet,
            base,
            input_files=spec.input.files is not None,
            output_files=auto or writes_files(spec.tasklet),
        ),
        input=plan_input(spec.input, base),
        parallelism=spec.parallelism,
        min_parallelism=spec.min_parallelism,
        max_failed_chunks=spec.max_failed_chunks,
        retry=plan_retry(spec.retry),
        lease=plan_lease(spec),
        cache=plan_cache(spec),
    )


def _aggregate_stage(spec: JobSpec, tasklet: plan.TaskletPlan) -> plan.Stage:
    return plan.Stage(
        name=AGGREGATE_STAGE,
        tasklet=tasklet,
        input=plan.StageInput(stages=(MAIN_STAGE,), gather=True),
        depends_on=(MAIN_STAGE,),
        retry=plan_retry(spec.retry),
        lease=plan_lease(spec),
        cache=plan_cache(spec),
    )
