"""Objects of the cluster whose content a job needs: the operator reads them, and gives it to the coordinator alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from leasegrid.api.common import ConfigMapKey
from tasklet_runner.plan.types import Plan, Source

CONFIG_MAP = "configmap://"


@dataclass(frozen=True)
class Needs:
    """`contents`: sources in ConfigMaps, each once; Secrets by name: those of registries, and that of buckets."""

    contents: tuple[Source, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    data_secret: str = ""

    def __bool__(self) -> bool:
        return bool(self.contents or self.pull_secrets or self.data_secret)


NOTHING = Needs()


def config_map_uri(given: ConfigMapKey) -> str:
    """How a plan names it."""
    return f"{CONFIG_MAP}{given.name}/{given.key}"


def config_map_key(uri: str) -> tuple[str, str]:
    """Name and key of a ConfigMap, from how a plan names it."""
    name, _, key = uri.removeprefix(CONFIG_MAP).partition("/")
    return name, key


def needs_of(plan: Plan) -> Needs:
    """What the plan needs of its namespace."""
    sources = tuple(dict.fromkeys(_sources(plan)))
    return Needs(
        contents=tuple(one for one in sources if one.uri.startswith(CONFIG_MAP)),
        pull_secrets=tuple(dict.fromkeys(one.secret for one in sources if one.secret)),
        data_secret=plan.data_secret,
    )


def _sources(plan: Plan) -> Iterator[Source]:
    for stage in plan.stages:
        yield stage.tasklet.source
