"""Reads what the kernel tells in /proc, /sys and /dev, below a root that tests may choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder that holds `proc`, `sys` and `dev`; on a live board it is `/`."""

    root: Path = Path("/")

    def text(self, name: str) -> str:
        """Return a file's text without its closing newline or NUL, empty if it can't be read."""
        try:
            return (self.root / name).read_bytes().decode(errors="replace").strip("\0\n ")
        except OSError:
            return ""

    def number(self, name: str) -> int | None:
        """Return a file's content as a whole number, None if there is none."""
        try:
            return int(self.text(name))
        except ValueError:
            return None

    def find(self, pattern: str) -> Iterator[Path]:
        """Yield what matches a glob pattern, `video2` before `video10`."""
        found = self.root.glob(pattern)
        yield from sorted(found, key=lambda path: (len(path.name), path.name))

    def device(self, path: Path) -> str:
        """Return the name a program opens, `/dev/video0`."""
        return "/" + str(path.relative_to(self.root))
