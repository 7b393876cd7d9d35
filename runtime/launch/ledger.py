"""`launch.json`: what runs, since when, how often it was restarted; for viewers and scripts."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

if TYPE_CHECKING:  # who only reads a ledger loads nothing of what writes it
    from olympus.runtime.launch.supervisor import Life, Recipe

FILE = "launch.json"
"""Name of the file in the session's run folder."""

_AGAIN_S = 1.0


class Ledger:
    """Keeps `launch.json` up to date; each write replaces the whole file at once."""

    def __init__(
        self, run_dir: Path, head: dict[str, JsonValue], now_ns: Callable[[], int]
    ) -> None:
        """Write to `run_dir`.

        Args:
            run_dir: The session's run folder.
            head: What does not change: session, launch file, mission.
            now_ns: Robot time.
        """
        self._file = run_dir / FILE
        self._now_ns = now_ns
        self.is_behind = False
        """Whether the newest state is not in the file, for want of room."""
        self._processes: dict[str, JsonValue] = {}
        self._content: dict[str, JsonValue] = {
            **head,
            "launcher_pid": os.getpid(),
            "started_ns": now_ns(),
            "state": "starting",
            "processes": self._processes,
        }

    def state(self, state: str) -> None:
        """Note the state of the whole: `starting`, `running`, `stopping`, `stopped`, `failed`."""
        self._content["state"] = state
        self.write()

    def process(self, recipe: Recipe, life: Life) -> None:
        """Note the state of one process."""
        self._processes[recipe.name] = {
            "kind": recipe.kind,
            "state": life.phase.value,
            "pid": life.pid,
            "restarts": life.restarts,
            "ready_s": life.ready_s,
            "last_exit": life.last_exit,
            "changed_ns": self._now_ns(),
            "nodes": dict(life.nodes),
        }
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all; a full disk does not end a launch."""
        draft = self._file.with_suffix(".tmp")
        try:
            draft.write_text(json.dumps(self._content, indent=1))
            draft.replace(self._file)
        except OSError:
            self.is_behind = True
        else:
            self.is_behind = False

    async def catch_up(self) -> None:
        """Write again what a full disk kept out, once a second, until cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            if self.is_behind:
                self.write()


def read_ledger(run_dir: Path) -> dict[str, JsonValue]:
    """Return what the ledger of a session says; empty when there is none."""
    try:
        content = json.loads((run_dir / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
