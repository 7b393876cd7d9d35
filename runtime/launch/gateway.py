"""What a launch file says about other machines, made ready for the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from olympus.runtime.bus.zenoh_config import check_settings, flattened
from olympus.runtime.launch.schema import Bus

_FILES = ("_certificate", "_private_key", "/dictionary_file")


def zenoh_settings(bus: Bus, folder: Path) -> dict[str, Any]:
    """Return the `bus.zenoh` settings by path; files named in them are relative to the launch file.

    Args:
        bus: The section of the launch file.
        folder: Where the launch file lies.
    """
    settings = flattened(bus.zenoh)
    for path, value in settings.items():
        if path.endswith(_FILES) and isinstance(value, str):
            settings[path] = str(folder / Path(value).expanduser())
    return settings


def gateway_problems(bus: Bus, folder: Path) -> list[str]:
    """Say why other machines could not be let in as a launch file says; nothing is opened.

    Args:
        bus: The section of the launch file.
        folder: Where the launch file lies.
    """
    settings = zenoh_settings(bus, folder)
    problems = list(check_settings(settings, listen=bus.listen, connect=bus.connect))
    for path, value in settings.items():
        if path.endswith(_FILES) and isinstance(value, str) and not Path(value).is_file():
            problems.append(f"bus.zenoh: {path}: there is no file {value}")
    return problems
