"""A params file that is edited while the launch runs: applied as a whole, or refused as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from pydantic import JsonValue

from olympus.runtime.errors import OlympusError
from olympus.runtime.launch.params import Params

PERIOD_S = 0.5
Change = dict[str, Params]
"""New values by node id and param."""


class Tuning:
    """Watches params files and hands on what changed."""

    def __init__(
        self,
        files: tuple[Path, ...],
        current: Mapping[str, Params],
        read: Callable[[], Awaitable[Mapping[str, Params]]],
        apply: Callable[[str, Params], Awaitable[None]],
        say: Callable[[str, str], None],
    ) -> None:
        """Watch `files`.

        Args:
            files: The params files.
            current: All params as the nodes have them now.
            read: Reads and validates all params anew, defaults included; raises what is wrong.
            apply: Sets params of one running node, by its id; raises when it refuses.
            say: Is told a sentence and its level.
        """
        self._files = files
        self._read = read
        self._apply = apply
        self._say = say
        self._stamps = self._look()
        self._current = current

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            stamps = self._look()
            if stamps != self._stamps:
                self._stamps = stamps
                await self._take_over()

    async def _take_over(self) -> None:
        names = ", ".join(file.name for file in self._files)
        try:
            wanted = await self._read()
            change = difference(self._current, wanted)
            if change:
                await self._apply_all(change)
                self._current = wanted
                self._say(f"{names}: applied {told(change)}", "good")
        except OlympusError as error:
            self._say(f"{names}: refused, the old values stay: {error}", "error")

    async def _apply_all(self, change: Change) -> None:
        done: list[str] = []
        try:
            for node, params in change.items():
                await self._apply(node, params)
                done.append(node)
        except OlympusError:
            for node in done:
                old = self._current[node]
                await self._apply(node, {name: old[name] for name in change[node] if name in old})
            raise

    def _look(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_stamp(file) for file in self._files)


def difference(old: Mapping[str, Params], new: Mapping[str, Params]) -> Change:
    """Return the values of `new` that are not the same in `old`.

    Args:
        old: All params of all nodes.
        new: The same, changed.
    """
    change: Change = {}
    for node, params in new.items():
        known = old.get(node, {})
        differing = {k: v for k, v in params.items() if k not in known or not _same(known[k], v)}
        if differing:
            change[node] = differing
    return change


def told(change: Change) -> str:
    """Return a change as `node.param=value, …`."""
    return ", ".join(f"{n}.{p}={v}" for n, params in change.items() for p, v in params.items())


def _same(left: JsonValue, right: JsonValue) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
