"""`python -m <package>.service serve` and `... predict`."""

import platform
import signal
import sys

# The first process of a container has no default action for this signal: without a handler, one that comes during the
# start would be lost, and the container killed at the end of its grace period.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

from .. import errors  # noqa: E402 - what follows takes most of the start
from . import version  # noqa: E402


def main() -> None:
    # First, because another Python could not even load the packages, and would say so in its own words.
    version.check_python(platform.python_version())
    from .cli import main

    main()


errors.run(main)
