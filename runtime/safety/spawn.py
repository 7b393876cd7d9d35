"""How to start a guardian: its command line, its environment, and the wait for its ready line."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import olympus
from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.shared import private_directory

CONFIG: Final = "guardian.json"
"""Name of the configuration that `start` writes into the safety directory."""


@dataclass(frozen=True, slots=True)
class Started:
    """A guardian that has said it is ready."""

    process: subprocess.Popen[bytes]
    ready: dict[str, Any]
    """Its ready line: pid, dir, state, and what real-time wishes were granted or refused."""


def command(config: Path) -> list[str]:
    """Say the command line of a guardian; -S leaves all site packages out."""
    return [sys.executable, "-S", "-m", "olympus.runtime.safety.guardian", str(config)]


def environment() -> dict[str, str]:
    """Say the environment of a guardian: without site packages, Olympus must be on the path."""
    root = Path(olympus.__file__).parent.parent
    return {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}


def start(settings: Settings, *, timeout_s: float = 10.0) -> Started:
    """Start a guardian and wait until it is ready.

    With `die_with_parent` it ends when the calling thread ends: call it from a thread that stays.

    Args:
        settings: Its configuration.
        timeout_s: How long it may take.

    Returns:
        The process and its ready line.

    Raises:
        SafetyError: It ended, or was not ready in time.
    """
    config = private_directory(settings.dir) / CONFIG
    config.write_text(settings.to_json())
    reading, writing = os.pipe()
    process = subprocess.Popen(command(config), stdout=writing, env=environment())
    os.close(writing)
    line = _first_line(reading, time.monotonic() + timeout_s)
    os.close(reading)
    if not line.endswith(b"\n"):
        process.kill()
        code = process.wait()
        raise SafetyError(
            f"the guardian in {settings.dir} was not ready within {timeout_s:g} s "
            f"(exit code {code}); its error output says why"
        )
    return Started(process, json.loads(line))


def _first_line(descriptor: int, deadline: float) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            break
        piece = os.read(descriptor, 4096)
        if not piece:
            break
        line += piece
    return line
