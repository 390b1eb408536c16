"""The commands on a cluster: options and words. What they do is imported when they are run."""

from pathlib import Path
from typing import Any, Unpack

import click

from leasegrid.cli.cluster_options import WhereOptions, cluster_options, local_option, on_cluster, where
from leasegrid.cli.options import json_option, verbose_option

_FILE = click.Path(path_type=Path)
_pools = click.option("--pool", "pools", multiple=True, metavar="POOL", help="Pool to take from; again: the next best.")
_ttl = click.option("--ttl", "ttl_seconds", type=int, metavar="SECONDS", help="Time to live between renewals.")
_everywhere = click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="All namespaces.")


@click.command(short_help="Claim warm members of a cluster.")
@click.argument("name", required=False)
@_pools
@click.option("--cpu", metavar="CORES", help="Instead of a pool: cores of each member.")
@click.option("--memory", metavar="SIZE", help="Instead of a pool: memory of each member, such as 2Gi.")
@click.option("--size", metavar="SIZE", help="Storage of each Memory or Block member.")
@click.option("--resource", type=click.Choice(["CPU", "Memory", "Block"]), help="Kind of member.")
@click.option("--count", type=int, metavar="N", help="Members (1).")
@click.option("--min-count", type=int, metavar="N", help="Below it nothing stays bound (--count).")
@_ttl
@click.option("--on-empty", type=click.Choice(["Fail", "Queue", "Provision"]), help="When none is ready (Fail).")
@click.option("--priority", type=int, metavar="N", help="Higher ones stand before lower ones in the queue (0).")
@click.option("--queue-timeout", type=int, metavar="SECONDS", help="So long it queues at most (60).")
@click.option("--purpose", metavar="TEXT", help="What for, for people.")
@click.option("--wait/--no-wait", default=True, help="Return when it is bound or refused.")
@json_option
@cluster_options
@verbose_option
def claim(name: str | None, wait: bool, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - two TypedDicts in one
    """Claim members as the lease NAME (a readable random one), wait until they are bound, and show them.

    The holder's key stays on this machine; renew, release and exec find it by the lease's name.
    """
    from leasegrid.cli import claiming
    from leasegrid.cli.cluster_runs import run_on_cluster

    chosen = where(_where_of(options))
    order = claiming.order_of(name, options["pools"], _requirements(options), _fields(options))
    return run_on_cluster(chosen, lambda cluster: claiming.claim(cluster, order, wait=wait, as_json=as_json))


class _ExecCommand(click.Command):
    """Options may stand before LEASE and before FILE; what follows FILE is the tasklet's."""

    allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put LEASE behind the options that follow it."""
        words = self._words(ctx, args)
        if words and not self._parsed(ctx, args).get("claims"):
            behind = self._words(ctx, words[1:])
            before, between = args[: len(args) - len(words)], words[1 : len(words) - len(behind)]
            args = [*(part for part in before if part != "--"), *between, "--", words[0], *behind]
        return super().parse_args(ctx, args)

    def _words(self, ctx: click.Context, args: list[str]) -> list[str]:
        found = self._parsed(ctx, args).get("words")
        return list(found) if isinstance(found, (list, tuple)) else []

    def _parsed(self, ctx: click.Context, args: list[str]) -> dict[str, Any]:
        return dict(self.make_parser(ctx).parse_args(list(args))[0])


@click.command(cls=_ExecCommand, short_help="Run FILE on a member of a lease.")
@click.argument("words", nargs=-1, required=True, metavar="[LEASE] FILE [ARGS]...")
@click.option("--claim", "claims", is_flag=True, help="Claim a lease for this run alone; LEASE is left out.")
@_pools
@_ttl
@click.option("--fuel", type=int, metavar="N", help="Instructions.")
@click.option("--memory", metavar="SIZE", help="Memory, such as 256Mi.")
@click.option("--wall-seconds", type=int, metavar="SECONDS", help="Time.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="A variable; nothing else is set.")
@click.option("--in", "inputs", multiple=True, type=_FILE, metavar="FILE", help="A file to stand in /in.")
@json_option
@cluster_options
@verbose_option
def exec_(words: tuple[str, ...], claims: bool, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - as above
    """Run FILE, a WebAssembly module or a .py file, on a member of LEASE. Options stand before FILE.

    stdin (where it is no terminal), stdout and stderr are those of this command; it exits with 0 when the tasklet did,
    with 1 and the fault in words otherwise.
    """
    from leasegrid.cli import claiming
    from leasegrid.cli.exec_programs import ExecOrder
    from leasegrid.cli.executing import execute

    lease, file, arguments = _exec_words(words, claims=claims, pools=options["pools"])
    order = ExecOrder(
        file=Path(file),
        arguments=arguments,
        fuel=options["fuel"],
        memory=options["memory"],
        wall_seconds=options["wall_seconds"],
        environment=options["environment"],
        inputs=options["inputs"],
    )
    fields = {"ttlSeconds": options["ttl_seconds"], "onEmpty": "Queue", "purpose": f"exec {Path(file).name}"}
    on = lease or claiming.order_of(None, options["pools"], {}, fields)
    return execute(where(_where_of(options)), on, order, as_json=as_json)


@click.command(short_help="Renew a lease of a cluster.")
@click.argument("name")
@json_option
@cluster_options
@verbose_option
def renew(name: str, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Move the deadline of the lease NAME to its time to live from now."""
    from leasegrid.cli import lease_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(where(options), lambda cluster: lease_verbs.renew(cluster, name, as_json=as_json))


@click.command(short_help="Release a lease, and print its receipt.")
@click.argument("name")
@click.option("--grace", type=click.IntRange(0), default=0, metavar="SECONDS", help="For its holder to finish (0).")
@local_option
@json_option
@cluster_options
@verbose_option
def release(name: str, grace: int, local: bool, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Release the lease NAME and print its receipt: of this machine's state directory, or with --context of a cluster.

    On one machine NAME is what `leasegrid leases` shows; its bytes are deleted.
    """
    chosen = where(options)
    if not on_cluster(chosen, local=local, named=chosen.named):
        from leasegrid.cli.local_release import release_local

        return release_local(name, as_json=as_json)
    from leasegrid.cli import lease_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(chosen, lambda cluster: lease_verbs.release(cluster, name, grace=grace, as_json=as_json))


@click.command(short_help="Delete a lease of a cluster: an immediate revoke.")
@click.argument("name")
@json_option
@cluster_options
@verbose_option
def terminate(name: str, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Delete the lease NAME: its members are freed at once, whoever uses them. Its receipt is an Event on the pool."""
    from leasegrid.cli import lease_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(where(options), lambda cluster: lease_verbs.terminate(cluster, name, as_json=as_json))


@click.command(short_help="Show what is leased.")
@_everywhere
@local_option
@json_option
@cluster_options
@verbose_option
def leases(everywhere: bool, local: bool, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Show what this machine's state directory still holds: leases of live runs, kept outputs, caches.

    With --context (or -n, or as kubectl's plugin): the leases of a cluster.
    """
    chosen = where(options)
    if not on_cluster(chosen, local=local, named=chosen.named or everywhere):
        from leasegrid.cli.holdings import show_leases

        return show_leases(as_json=as_json)
    from leasegrid.cli import lease_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(
        chosen, lambda cluster: lease_verbs.show_leases(cluster, everywhere=everywhere, as_json=as_json)
    )


@click.command(short_help="Show the pools of a cluster.")
@_everywhere
@json_option
@cluster_options
@verbose_option
def pools(everywhere: bool, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Show the pools: what they are to keep warm, what they have, and what is wrong."""
    from leasegrid.cli import pool_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(
        where(options), lambda cluster: pool_verbs.show_pools(cluster, everywhere=everywhere, as_json=as_json)
    )


@click.command(short_help="Show who holds which members of a cluster.")
@click.option("-w", "--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@_everywhere
@json_option
@cluster_options
@verbose_option
def top(watch: bool, everywhere: bool, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Show who holds what: members by pool with lease, holder, age and node."""
    from leasegrid.cli import pool_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(
        where(options),
        lambda cluster: pool_verbs.top(cluster, everywhere=everywhere, watch=watch, as_json=as_json),
    )


@click.command(short_help="Drain a pool of a cluster.")
@click.argument("pool")
@click.option("--undo", is_flag=True, help="Take claims and make members again.")
@click.option("--wait", is_flag=True, help="Return when only claimed members are left.")
@json_option
@cluster_options
@verbose_option
def drain(pool: str, undo: bool, wait: bool, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Drain POOL: its idle members end, claims are refused, members under lease stay until they are released."""
    from leasegrid.cli import pool_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(
        where(options), lambda cluster: pool_verbs.drain(cluster, pool, undo=undo, wait=wait, as_json=as_json)
    )


exec_.name = "exec"
COMMANDS = (claim, renew, release, terminate, exec_, leases, pools, top, drain)


def _where_of(options: dict[str, Any]) -> WhereOptions:
    return {"kubeconfig": options["kubeconfig"], "context": options["context"], "namespace": options["namespace"]}


def _requirements(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("resource", "cpu", "memory", "size")}


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "count": options["count"],
        "minCount": options["min_count"],
        "ttlSeconds": options["ttl_seconds"],
        "onEmpty": options["on_empty"],
        "priority": options["priority"],
        "queueTimeoutSeconds": options["queue_timeout"],
        "purpose": options["purpose"],
    }


def _exec_words(words: tuple[str, ...], *, claims: bool, pools: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    """The lease (empty when it is to be claimed), the file, and the arguments."""
    if claims:
        return "", words[0], words[1:]
    if pools:
        raise click.UsageError("--pool is for --claim: name LEASE without it")
    if len(words) < 2:
        raise click.UsageError("name LEASE and FILE, or claim a lease for this run: --claim FILE")
    return words[0], words[1], words[2:]
