"""The entry point of `leasegrid`: it hears Ctrl-C before it imports what takes a while."""

import signal

from leasegrid.cli.at_once import end_at_once


def main() -> None:
    """Run the command line of this process and exit."""
    # By a handler and not by catching KeyboardInterrupt: what is raised in the midst of an import may be dropped there.
    before = signal.signal(signal.SIGINT, end_at_once)
    from leasegrid.cli.interrupts import ending_at_once

    with ending_at_once():
        from leasegrid.cli.group import command
    signal.signal(signal.SIGINT, before)
    command()
