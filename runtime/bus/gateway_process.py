"""Keeping the gateway's process: started with the hub, started again when it dies."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from olympus.runtime.errors import BusError

READY_S = 20.0
END_S = 2.0
PAUSE_S = 1.0
OnEvent = Callable[[str, str], None]
"""Told a log level and a sentence, from a thread."""
COMMAND = (sys.executable, "-m", "olympus.runtime.bus.gateway")
_LEVELS = logging.getLevelNamesMapping()
_log = logging.getLogger(__name__)


def log_event(level: str, text: str) -> None:
    """Log what the gateway says."""
    _log.log(_LEVELS.get(level.upper(), logging.WARNING), "gateway: %s", text)


@contextmanager
def open_gateway(
    spec: Mapping[str, Any], on_event: OnEvent = log_event, command: Sequence[str] = COMMAND
) -> Iterator[None]:
    """Keep a gateway open.

    Args:
        spec: Its settings; see gateway.py.
        on_event: Told what happens there.
        command: What starts it, such as in a network namespace of its own.

    Yields:
        Nothing; other machines can connect meanwhile.

    Raises:
        BusError: It can't open an endpoint, or a setting is wrong; says which.
    """
    keeper = _Keeper(json.dumps(dict(spec)), on_event, command)
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()


class _Keeper:
    """One gateway process at a time."""

    def __init__(self, spec: str, on_event: OnEvent, command: Sequence[str]) -> None:
        self._spec, self._on_event, self._command = spec, on_event, command
        self._ending = threading.Event()
        self._answered = threading.Event()
        self._failure: str | None = None
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep, name="gateway", daemon=True)

    def start(self) -> None:
        """Start it and wait until it is open.

        Raises:
            BusError: It fails, or does not answer.
        """
        self._thread.start()
        is_there = self._answered.wait(READY_S)
        if self._failure is not None or not is_there:
            self.stop()
            raise BusError(self._failure or f"the gateway gave no sign within {READY_S:g} s")

    def stop(self) -> None:
        """End it: its input ends, and with that it does; if not, it is killed."""
        self._ending.set()
        process = self._process
        if process is not None:
            _close(process.stdin)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join(END_S)

    def _keep(self) -> None:
        while not self._ending.is_set():
            code = self._run()
            if self._failure is not None or self._ending.is_set():
                return
            self._on_event("error", f"the gateway ended with {code}; it is started again")
            self._ending.wait(PAUSE_S)

    def _run(self) -> int:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the launcher's to handle
        )
        self._process = process
        if self._ending.is_set() or process.stdin is None or process.stderr is None:
            process.kill()
            return process.wait()
        try:
            process.stdin.write(self._spec + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            _log.debug("the gateway ended before it read its settings")
        for line in process.stderr:
            self._take(line)
        process.stderr.close()
        code = process.wait()
        _close(process.stdin)
        return code

    def _take(self, line: str) -> None:
        try:
            said = json.loads(line)
            level, text = str(said["level"]), str(said["text"])
        except (ValueError, TypeError, KeyError):
            level, text = "error", line.strip()  # a traceback, or Zenoh's own words
        if level == "failed" and not self._answered.is_set():
            self._failure = text
        if level in ("ready", "failed"):
            self._answered.set()
        if level != "ready" and self._failure is None:
            self._on_event(level, text)


def _close(stream: IO[str] | None) -> None:
    try:
        if stream is not None:
            stream.close()
    except BrokenPipeError:
        _log.debug("the gateway had ended already")
