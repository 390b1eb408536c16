"""What of a plan lies elsewhere, and in which state: whether a run may go on from the chunks of another hangs on it."""

from collections.abc import Iterator

from tasklet_runner.data.access import Access
from tasklet_runner.data.failures import reading
from tasklet_runner.data.found import Found
from tasklet_runner.data.registries import manifest_digest
from tasklet_runner.data.storages import OCI, Storages, scheme_of
from tasklet_runner.plan.types import Plan, Source
from tasklet_runner.wire.errors import InputError


def remote_states(plan: Plan, access: Access) -> dict[str, Found]:
    """Modules, Python files, wheels and mounts by URI, with size and mark; of an artifact the digest of its manifest.

    Inputs are left out: the ids of the chunks hold their content. So is what cannot be read: the coordinator names it.
    Blocking; asks servers only when the plan names any.
    """
    storages = Storages(access)
    found: dict[str, Found] = {}
    for source, is_tree in _sources(plan):
        if source.inline is not None or scheme_of(source.uri)[0] == "file":
            continue
        try:
            found.update({one.location: one for one in _found(source, storages, is_tree=is_tree)})
        except InputError:
            continue
    return found


def _sources(plan: Plan) -> Iterator[tuple[Source, bool]]:
    """Each with whether it may be a directory."""
    for tasklet in (stage.tasklet for stage in plan.stages):
        yield tasklet.source, False
        yield from ((wheel, False) for wheel in tasklet.wheels)
        yield from ((mount.source, True) for mount in tasklet.mounts)


def _found(source: Source, storages: Storages, *, is_tree: bool) -> list[Found]:
    with reading(source.uri):
        if scheme_of(source.uri)[0] == OCI:
            return [Found(source.uri, 0, manifest_digest(source.uri, source.secret, storages.access))]
        storage = storages.of(source.uri)
        return storage.below(source.uri) if is_tree else [storage.stat(source.uri)]
