"""Start the embedded broker as a process of its own, and stop it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from olympus.runtime.errors import DeviceError

_START_S = 15.0
_STOP_S = 3.0


class BrokerProcess:
    """`with BrokerProcess() as broker:` serves at `broker.url` until the block ends."""

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        """Plan it.

        Args:
            arguments: Command line of `olympus.drivers.broker`; without `--port` it takes a free
                port.
        """
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        """Address for clients, once it serves."""
        self.port = 0

    @property
    def pid(self) -> int:
        """Its process, 0 while there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            DeviceError: It ended, or did not get ready.
        """
        # A file, since a pipe that nobody empties would stop the broker one day.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-m", "olympus.drivers.broker", "--parent", str(os.getpid())]
        self._process = subprocess.Popen(
            [*command, *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        line = self._first_line(self._process)
        if not line:
            error = self._end(self._process)
            raise DeviceError(f"the MQTT broker did not start: {error or 'it said nothing'}")
        ready = json.loads(line)
        self.url, self.port = ready["url"], ready["port"]

    def stop(self) -> None:
        """Stop it; do nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            self._end(process)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def _first_line(self, process: subprocess.Popen[bytes]) -> bytes:
        if process.stdout is None:
            return b""
        readable, _, _ = select.select([process.stdout], [], [], _START_S)
        return process.stdout.readline() if readable else b""

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        process.terminate()
        try:
            process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        with self._errors as errors:
            errors.seek(0)
            return errors.read().decode(errors="replace").strip()
