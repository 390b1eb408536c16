"""The entry point of `leasegrid`: it hears Ctrl-C before it imports what takes a while, and imports nothing itself."""


def main() -> None:
    """Run the command line of this process and exit."""
    try:
        from leasegrid.cli.interrupts import ending_at_once

        with ending_at_once():
            from leasegrid.cli.group import command
    except KeyboardInterrupt:
        # It came within the first of the imports.
        from leasegrid.cli.interrupts import end_at_once

        end_at_once(2)
    command()
