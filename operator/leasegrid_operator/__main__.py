"""`python -m leasegrid_operator`: the operator's process."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from leasegrid_operator.errors import ClusterError, MissingDefinitionError, SettingsError
from leasegrid_operator.garbage import keep_what_is_there
from leasegrid_operator.logs import Action, configure, log
from leasegrid_operator.operator import run
from leasegrid_operator.settings import Settings, add_flags, read_settings

EXIT_USAGE = 2
EXIT_ENVIRONMENT = 4
"""The process finds an environment in which it cannot work; what to do stands in its last line."""

_logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal; the process's exit code: 0, 2 for wrong settings, 4 for an unusable environment."""
    options = _parser().parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if name != "command"}
    try:
        settings = read_settings(given, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"leasegrid_operator: {error}\n")
        return EXIT_USAGE
    configure(settings.log_level, settings.log_format)
    keep_what_is_there()
    return _run(settings)


def _run(settings: Settings) -> int:
    try:
        asyncio.run(run(settings))
    except (SettingsError, MissingDefinitionError, ClusterError, OSError) as error:
        log(_logger, logging.ERROR, Action.FAILED, str(error), code=getattr(error, "code", "OSError"))
        return EXIT_ENVIRONMENT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="leasegrid_operator", description="The LeaseGrid operator.")
    parser.add_argument("command", nargs="?", choices=["run"], default="run", help="run (the default)")
    add_flags(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
