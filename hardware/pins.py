"""Knows the pins of boards: which header pin is which line, and where stop and relay belong."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from olympus.runtime.errors import ConfigError

FOLDER = Path(__file__).resolve().parent / "boards"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pin(_Strict):
    """A header pin in a role."""

    pin: int = Field(ge=1, le=40, description="Number on the 40-pin header.")
    line: str = Field(description="Name of the GPIO line, as the kernel names it.")
    why: str = Field(description="Why this pin, and how to wire it.")


class Bus(_Strict):
    """A bus on header pins."""

    device: str = Field(description="What a driver opens.")
    pins: tuple[int, ...] = Field(
        description="Header pins, data before clock, send before receive."
    )
    note: str = Field("", description="What to switch on first.")


class Watchdog(_Strict):
    """The board's own watchdog."""

    device: str
    driver: str
    longest_s: int = Field(gt=0, description="Longest time-out the hardware can count.")


class BoardMap(_Strict):
    """Where things are on one kind of board."""

    name: str
    matches: tuple[str, ...] = Field(description="Patterns for the device tree's compatible.")
    gpio_chip: str = Field(description="Label of the GPIO chip behind the header.")
    header: dict[int, str] = Field(description="Header pin to line name or supply.")
    stop_input: Pin
    relay_output: Pin
    i2c: Bus
    uart: Bus
    watchdog: Watchdog

    @model_validator(mode="after")
    def _roles_are_on_the_header(self) -> BoardMap:
        for role in (self.stop_input, self.relay_output):
            if self.header.get(role.pin) != role.line:
                raise ValueError(
                    f"pin {role.pin} is {self.header.get(role.pin)!r}, not {role.line!r}"
                )
        return self


def load(path: Path) -> BoardMap:
    """Read one board map.

    Args:
        path: A YAML file like those in `hardware/boards`.

    Returns:
        The map, its pins checked against its header.

    Raises:
        ConfigError: The file can't be read or contradicts itself.
    """
    try:
        return BoardMap.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"board map {path}: {error}; compare hardware/boards/pi5.yaml") from error


@cache
def shipped() -> tuple[BoardMap, ...]:
    """Return the maps that come with Olympus."""
    return tuple(load(path) for path in sorted(FOLDER.glob("*.yaml")))


def map_for(compatible: Iterable[str]) -> BoardMap | None:
    """Return the map of the board with these device-tree names, None if we have none.

    Args:
        compatible: As in `Board.compatible`, most specific first.
    """
    for name in compatible:
        for candidate in shipped():
            if any(fnmatch(name, pattern) for pattern in candidate.matches):
                return candidate
    return None
