"""Which cluster, and as whom: the options that all commands on a cluster share."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., object])

PLUGIN = "kubectl-leasegrid"
"""The name under which kubectl finds this program: `kubectl leasegrid …`."""


class WhereOptions(TypedDict):
    """The options of `cluster_options` by their names."""

    kubeconfig: str | None
    context: str | None
    namespace: str | None


@dataclass(frozen=True)
class Where:
    """A cluster and a namespace as they were named; None: the kubeconfig's own. `plugin`: started by kubectl."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    plugin: bool = False

    @property
    def named(self) -> bool:
        """True when any of the options was given."""
        return any(value is not None for value in (self.kubeconfig, self.context, self.namespace))

    def command(self, *words: str, context: str = "") -> str:
        """A command line that means the same cluster, for messages. `context`: named where no option was."""
        chosen = self.context or ("" if self.plugin or self.kubeconfig else context)
        options = (("--kubeconfig", self.kubeconfig), ("--context", chosen), ("-n", self.namespace))
        named = [part for option, value in options if value for part in (option, value)]
        return " ".join(["kubectl leasegrid" if self.plugin else "leasegrid", *words, *named])


def where(options: WhereOptions) -> Where:
    """The options of a command line and the name of this process in one value."""
    return Where(**options, plugin=is_plugin())


def is_plugin(program: str | None = None) -> bool:
    """True when this process (or the program of that path) is kubectl's plugin."""
    return Path(sys.argv[0] if program is None else program).name == PLUGIN


def default_kubeconfig() -> str:
    """KUBECONFIG, read when it is needed, or kubectl's own place."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def cluster_options(command: _Command) -> _Command:
    """`--kubeconfig`, `--context` and `--namespace`, as kubectl has them."""
    command = click.option("-n", "--namespace", metavar="NAME", help="Namespace (that of the context).")(command)
    command = click.option("--context", metavar="NAME", help="Context of the kubeconfig (its current one).")(command)
    return click.option("--kubeconfig", metavar="FILE", help="Kubeconfig ($KUBECONFIG, ~/.kube/config).")(command)


local_option = click.option("--local", is_flag=True, help="This machine's state directory, not a cluster.")


def on_cluster(chosen: Where, *, local: bool, named: bool) -> bool:
    """Whether a command that exists for both fabrics means the cluster; `named`: an option says so.

    Raises UsageError when options say both.
    """
    if local and named:
        raise click.UsageError("--local is this machine: leave out the options of a cluster")
    return named or (chosen.plugin and not local)
