"""What a benchmark ran on: figures without it say nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import version

import psutil

from olympus.hardware import board


def described(packages: Iterable[str]) -> str:
    """Return processor, memory, kernel, Python and the versions of some packages in one line."""
    seen = board.look()
    memory_gb = psutil.virtual_memory().total / 1e9
    parts = "".join(f", {name} {version(name)}" for name in packages)
    return (
        f"{seen.processor.model}, {psutil.cpu_count()} cores, {memory_gb:.0f} GB, "
        f"Linux {seen.kernel}; Python {sys.version.split()[0]}{parts}"
    )
