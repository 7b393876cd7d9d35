"""Plain YAML from a file that may be anything: bounded in size and in depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

MAX_BYTES: Final = 4 * 2**20
"""More than any manifest or profile has; a device such as /dev/zero has no end."""


def parsed(text: str) -> Any:
    """Return what YAML text holds, plain values only.

    Raises:
        YAMLError: It is no YAML, or nested deeper than Python can follow.
    """
    try:
        return yaml.safe_load(text)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


def read(file: Path) -> str:
    """Return the text of a file of at most `MAX_BYTES`.

    Raises:
        OSError: It can't be read.
        UnicodeDecodeError: It is no UTF-8.
        YAMLError: It is longer.
    """
    with file.open("rb") as source:
        raw = source.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise yaml.YAMLError(f"it is larger than {MAX_BYTES // 2**20} MiB")
    return raw.decode("utf-8")
