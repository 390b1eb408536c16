"""`python -m tasklet_runner member …` is a pod's main process; `zygote` forks members on one machine.

`copy` is the process of a pod that has a job's claim mounted; `precompile` is for the build of an image.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tasklet_runner.member.process import run_member
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.jobs import COPY_VARIABLE
from tasklet_runner.wire.member import Role

EXIT_ENVIRONMENT = 4
NOTIFY_CA_VARIABLE = "LEASEGRID_NOTIFY_CA"
"""A pod's members mount nothing, and a certificate is public: its text may stand in the environment."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code of the process: 0, 2 for wrong usage, 4 for an environment that cannot be used."""
    parser = _parser()
    options = parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    if options.command == "zygote":
        # Here, as are the two below: a store member's process must not load the sandbox, whose engine costs memory.
        from tasklet_runner.member.zygote import run_zygote

        return run_zygote(options.control_fd, options.life_fd, options.runtime_dir)
    if options.command == "precompile":
        return _precompile(options.into)
    if options.command == "copy":
        from tasklet_runner.hosting.copier import run_copier

        return run_copier(os.environ.get(COPY_VARIABLE, ""), options.into)
    settings = _settings(options)
    if settings.role is Role.CPU:
        from tasklet_runner.hosting.process import WORDS, become_coordinator
        from tasklet_runner.member.cpu import assemble_cpu
        from tasklet_runner.member.post import Staff

        staff = Staff(become_coordinator, WORDS)
        return run_member(settings, lambda of, notifier: assemble_cpu(of, notifier, staff))
    if options.store is None or options.quota is None:
        parser.error(f"a member of role {settings.role.value} needs --store and --quota")
    from tasklet_runner.member.storing import assemble_store

    return run_member(settings, assemble_store)


def _precompile(folder: Path) -> int:
    from tasklet_runner.sandbox.precompiled import precompile_python

    try:
        sys.stdout.write(f"{precompile_python(folder)}\n")
    except LeaseGridError as error:
        sys.stderr.write(f"tasklet-runner: {error}\n")
        return EXIT_ENVIRONMENT
    return 0


def _settings(options: argparse.Namespace) -> MemberSettings:
    return MemberSettings(
        name=options.name,
        listen=options.listen,
        fabric_key=options.fabric_key,
        scratch=options.scratch,
        slots=options.slots,
        memory=options.memory,
        tmpfs=options.tmpfs,
        notify=options.notify,
        replace_after_use=options.reuse == "Replace",
        life_fd=options.control_fd,
        role=Role(options.role),
        store=options.store or Path(),
        quota=options.quota or 0,
        tls=options.tls,
        notify_ca=os.environ.get(NOTIFY_CA_VARIABLE, "") if options.notify_ca is None else options.notify_ca,
        notify_name=options.notify_name,
        compile_seconds=options.compile_seconds,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tasklet-runner", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_member(commands.add_parser("member", help="one leased worker or store"))
    shipped = commands.add_parser("precompile", help="compile the Python interpreter for an image")
    shipped.add_argument("--into", type=Path, required=True, help="the folder that LEASEGRID_PRECOMPILED will name")
    copier = commands.add_parser("copy", help=f"copies the outputs of the job in {COPY_VARIABLE} into a mounted volume")
    copier.add_argument("--into", type=Path, required=True, help="the directory of the copy")
    zygote = commands.add_parser("zygote", help="forks members that share their memory")
    zygote.add_argument("--control-fd", type=int, required=True, help="socket for commands, one JSON object a line")
    zygote.add_argument("--life-fd", type=int, required=True, help="read end of the fabric's life pipe")
    zygote.add_argument("--runtime-dir", type=Path, required=True, help="removed at the end")
    return parser


def _add_member(member: argparse.ArgumentParser) -> None:
    member.add_argument("--listen", required=True, help="host:port or unix:///path")
    member.add_argument("--name", required=True, help="the member's name in its fabric")
    member.add_argument("--fabric-key", required=True, help="Ed25519 public key, base64url")
    member.add_argument(
        "--scratch", type=Path, required=True, help="an own directory, wiped first; on tmpfs if possible"
    )
    member.add_argument("--slots", type=_positive, default=1, help="tasklets at a time; store members have none")
    member.add_argument("--memory", type=_positive, default=1 << 30, help="of the whole member, in bytes")
    member.add_argument("--tmpfs", type=_positive, default=256 << 20, help="of it, the scratch's share, in bytes")
    member.add_argument(
        "--compile-seconds",
        type=_positive,
        default=120,
        help="of CPU time that compiling one module may take",
    )
    member.add_argument("--notify", default="", help="where hints go: unix:///path or http(s)://…")
    member.add_argument("--tls", action="store_true", help="serve HTTPS, by a key that is made now")
    member.add_argument(
        "--notify-ca", type=_text, help=f"file (PEM) of who vouches for an https --notify; else in {NOTIFY_CA_VARIABLE}"
    )
    member.add_argument("--notify-name", default="", help="the name in its certificate, where it is not the host")
    member.add_argument("--control-fd", type=int, default=-1, help="when this pipe closes, end (once unleased)")
    member.add_argument("--reuse", choices=("Reset", "Replace"), default="Reset", help="after a lease")
    member.add_argument("--role", choices=[role.value for role in Role], default=Role.CPU.value, help="what it serves")
    member.add_argument("--store", type=Path, help="of a Memory or Block member: the directory of its objects")
    member.add_argument("--quota", type=_positive, help="of a Memory or Block member: bytes of objects that it takes")


def _joined(arguments: Sequence[str]) -> list[str]:
    # A key in base64url may begin with `-`, and argparse would take it for an option.
    words = list(arguments)
    if "--fabric-key" in words[:-1]:
        at = words.index("--fabric-key")
        words[at : at + 2] = [f"--fabric-key={words[at + 1]}"]
    return words


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {error}") from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
