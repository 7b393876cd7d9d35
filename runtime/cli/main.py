"""Where `olympus` begins: the safety commands at once, all others through the full application."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

PRIORITY = 40
"""Below that of guardian and gates."""

LAUNCHING = ("launch", "check")
SAFETY = ("stop", "reset", "status", "console")


def hurry() -> None:
    """Go before everything but guardian and gates, where that is granted: somebody waits."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))


def main() -> None:
    """Run the command line of this process and exit with its code.

    `stop` must not wait for libraries it doesn't need, so the safety commands load nothing but the
    standard library and the safety client.
    """
    arguments = sys.argv[1:]
    if arguments and arguments[0] in SAFETY:
        if arguments[0] == "stop":
            hurry()
        from olympus.runtime.cli import safety

        sys.exit(safety.run(arguments))
    # What is loaded stays: to look through it for garbage took a tenth to a fifth of the start.
    gc.disable()
    if arguments and arguments[0] in LAUNCHING:
        from olympus.runtime.launch.planted import plant

        plant()
    from olympus.runtime.cli import app

    sys.exit(app.run(arguments, loaded=_collect_again))


def _collect_again() -> None:
    """Look for garbage from now on, in what is made from now on."""
    gc.freeze()
    gc.enable()
