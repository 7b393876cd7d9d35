"""A host: one process with an event loop and its nodes.

Started by the launcher as `python -m olympus.runtime.node.host SPEC.json`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from olympus.runtime.bus.loop import BusLoop
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, OlympusError
from olympus.runtime.lifeline import tie_to_parent
from olympus.runtime.node.hosting import Host
from olympus.runtime.node.loading import look_beside
from olympus.runtime.node.spec import CANT_RUN, HostSpec
from olympus.runtime.telemetry.logs import log_to

END_S = 2.5
"""How long a host may take to end. A thread that never comes back, in a driver or a model, would
else keep a crashed host from being started anew."""
_log = logging.getLogger("olympus.runtime.node.host")  # __name__ is __main__ here


async def run(spec: HostSpec) -> int:
    """Run a host until it is told to stop.

    Returns:
        The exit code: 0 after SIGINT or SIGTERM, 1 when a node crashed.

    Raises:
        OlympusError: A node can't start.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if spec.node_dir is not None:
        look_beside(spec.node_dir)
    for plugin in spec.plugins:
        importlib.import_module(plugin)
    host = Host(spec)
    try:
        try:
            await _start_and_stay(host, stop)
        finally:
            _end_for_certain()
            await host.stop()
    except OlympusError as error:
        host.tell_failure(_said(error))
        raise
    finally:
        _end_deaf()
    return 1 if host.crashed.done() else 0


async def _start_and_stay(host: Host, stop: asyncio.Event) -> None:
    """Start the nodes and wait for the end, which may come while they start."""
    starting = asyncio.create_task(host.start())
    waiting = asyncio.create_task(stop.wait())
    ends: set[asyncio.Future[Any]] = {waiting, host.crashed}
    try:
        await asyncio.wait({starting, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (starting, waiting):
            task.cancel()


def _end_deaf() -> None:
    """Take no signal to stop any more: the end has begun, and the loop that hears them closes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _said(error: OlympusError) -> str:
    """Return what a host says of an error, with the node that had it (`Host.start` notes it)."""
    text, notes = str(error), getattr(error, "__notes__", [""])
    return text if notes[0] in text else f"{notes[0]}: {text}"


def _end_for_certain() -> None:
    """End this process in `END_S` even if a handler or a thread hangs."""

    def end() -> None:
        names = ", ".join(t.name for t in threading.enumerate() if not t.daemon) or "none"
        _log.critical("this host did not end in %.1f s and is cut off; threads: %s", END_S, names)
        os._exit(1)

    timer = threading.Timer(END_S, end)
    timer.name, timer.daemon = "end", True
    timer.start()


def main(arguments: list[str]) -> int:
    """Run the host of a spec file and return the exit code."""
    try:
        spec = HostSpec.model_validate_json(Path(arguments[0]).read_text())
    except (IndexError, OSError, ValidationError) as error:
        sys.stderr.write(f"usage: python -m olympus.runtime.node.host SPEC.json ({error})\n")
        return ConfigError.exit_code
    tie_to_parent(spec.lifeline_fd)
    log_to(SystemClock(spec.session.clock_offset_ns), file=spec.log_file, level=spec.log_level)
    try:
        with asyncio.Runner(loop_factory=lambda: BusLoop(spin_s=spec.spin_s)) as runner:
            return runner.run(run(spec))
    except OlympusError as error:
        _log.critical("%s%s%s", spec.name, CANT_RUN, _said(error))
        return error.exit_code
    except Exception:  # noqa: BLE001  the node boundary: said once, as one line
        _log.exception("%s can't run, by an error that is not ours", spec.name)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
