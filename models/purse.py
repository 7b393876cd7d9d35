"""Keeps what was paid for far models on the disk, so that a restart does not renew the day."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

from olympus.runtime.errors import ModelError
from olympus.runtime.store.places import store_of


def purse_of(session: str, node: str) -> Purse:
    """Return the purse of a node, beside its session's store."""
    return Purse(store_of(session) / f"{node.replace('/', '.')}.money")


class Purse:
    """A file with a line for each call that cost money: `[when, ns of Unix time; how much]`.

    What can't be written down may not be spent, and a file that can't be read allows nothing: a
    budget that is forgotten is none.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; its folder is made when money is spent first."""
        self._path = path

    def spent_since(self, since_ns: int) -> list[tuple[int, float]]:
        """Return what was spent from a time on, and forget what was before.

        Raises:
            ModelError: The file can't be read or written, or holds something else.
        """
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(self._told(f"can't be read ({error})")) from error
        lines = text.splitlines()
        is_cut = not text.endswith("\n")
        found = [one for one in self._entries(lines, is_cut=is_cut) if one[0] >= since_ns]
        if len(found) < len(lines) or not text.endswith("\n"):  # else the next one is glued on
            self._rewrite(found)
        return found

    def ready(self) -> None:
        """See that a payment could be written down, before there is one.

        Raises:
            ModelError: It could not.
        """
        self._append("")

    def spend(self, when_ns: int, money: float) -> None:
        """Write down a payment, on the disk when this returns.

        Raises:
            ModelError: It can't be written.
        """
        self._append(json.dumps([when_ns, money]) + "\n")

    def _append(self, text: str) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ModelError(self._told(f"can't be written ({error.strerror})")) from error

    def _entries(self, lines: list[str], *, is_cut: bool) -> Iterator[tuple[int, float]]:
        for number, line in enumerate(lines, 1):
            try:
                when_ns, money = json.loads(line)
                entry = int(when_ns), float(money)
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                if is_cut and number == len(lines):  # the last line of a process that was killed
                    continue
                raise ModelError(self._told(f"line {number} is no payment")) from error
            if not (math.isfinite(entry[1]) and entry[1] >= 0):
                raise ModelError(self._told(f"line {number} is no payment"))
            yield entry

    def _rewrite(self, entries: list[tuple[int, float]]) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write("".join(json.dumps(entry) + "\n" for entry in entries))
                file.flush()
                os.fsync(file.fileno())  # else a power cut could leave an empty file in its place
            fresh.replace(self._path)
        except OSError as error:
            raise ModelError(self._told(f"can't be written ({error.strerror})")) from error

    def _told(self, what: str) -> str:
        return f"{self._path}: {what}; it counts the money of far models: mend it or take it away"
