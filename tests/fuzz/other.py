"""Another process that plays scripts: in C where this one is in Python, or the other way round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from olympus.runtime.bus.ipc.records import LENGTH
from olympus.runtime.quick import PURE, quick

HERE = Path(__file__).resolve().parent
QUICK = HERE.parents[1] / "runtime" / "quick"
BUILT = HERE.parents[1] / ".venv" / "fuzz" / "sanitized"
_FLAGS = (
    "-shared",
    "-fPIC",
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
)


class Other:
    """It plays one script after the other."""

    built: Path | None = None
    """A `_quick` that was built in another way, to be taken there."""

    def __init__(self, *, in_c: bool = quick is None) -> None:
        """Start it.

        Args:
            in_c: Whether it does in C what C does; if not given, what this process does not.
        """
        environment = dict(os.environ)
        environment.pop(PURE, None)
        if not in_c:
            environment[PURE] = "1"
        if self.built is not None:
            environment |= _sanitized_environment()
        command = [
            sys.executable,
            str(HERE / "wire_other.py"),
            *([str(self.built)] if self.built else []),
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def outcome(self, data: bytes) -> list[Any]:
        """Return what comes of a script there.

        Raises:
            AssertionError: The process has ended.
        """
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answered is not None
        asked.write(LENGTH.pack(len(data)) + data)
        asked.flush()
        line = answered.readline()
        if not line:
            raise AssertionError(f"the other process ended with {self._process.wait(20)}")
        told: list[Any] = json.loads(line)
        return told

    def close(self) -> None:
        """Have it end."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(20)


def sanitized() -> Path:
    """Build `_quick` with the address and undefined-behaviour sanitizers, and return it."""
    BUILT.mkdir(parents=True, exist_ok=True)
    built = BUILT / "_quick.so"
    sources = [str(path) for path in sorted(QUICK.glob("*.c"))]
    headers = sysconfig.get_paths()["include"]
    subprocess.run(["gcc", *_FLAGS, f"-I{headers}", *sources, "-o", str(built)], check=True)
    return built


def _sanitized_environment() -> dict[str, str]:
    names = ("libasan.so", "libubsan.so", "libstdc++.so")
    found = [
        subprocess.run(
            ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in names
    ]
    return {
        "LD_PRELOAD": " ".join(found),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "halt_on_error=1",
        "PYTHONMALLOC": "malloc",
    }
