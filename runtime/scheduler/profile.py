"""How long one piece of a job takes on a board: measured profiles, and what a simulation draws.

A piece is what can't be interrupted: a whole run of an ONNX model, one step of a language model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from olympus.runtime import yaml_text
from olympus.runtime.errors import ConfigError

_MASK = 2**64 - 1
_LONGEST_MS = 1e9  # eleven days; also what keeps nanoseconds within what can be counted
_Ms = Annotated[float, Field(gt=0, le=_LONGEST_MS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Measured times of one piece of work on one board."""

    board: str
    n: int
    """How many runs were timed."""
    p50_ns: int
    p99_ns: int
    worst_ns: int
    is_step: bool = False
    """Whether a job of the model takes many such pieces: a language model's steps."""

    def scaled(self, factor: float) -> Profile:
        """Return what it would be on a board that is `factor` times slower: an assumption.

        Args:
            factor: Above 0.
        """
        return replace(
            self,
            board=f"{self.board} x {factor:g}",
            p50_ns=round(self.p50_ns * factor),
            p99_ns=round(self.p99_ns * factor),
            worst_ns=round(self.worst_ns * factor),
        )


class Pace(StrEnum):
    """Which time of a profile a simulated job takes."""

    MEDIAN = "median"
    WORST = "worst"
    SEEDED = "seeded"
    """Drawn from the profile, the same for the same seed, job and piece."""

    def piece_ns(self, profile: Profile, *, seed: int, job: int, piece: int) -> int:
        """Return how long a piece takes.

        Args:
            profile: What was measured.
            seed: Another seed gives other times.
            job: Number of the job.
            piece: Number of its piece, from 0.
        """
        if self is Pace.MEDIAN:
            return profile.p50_ns
        if self is Pace.WORST:
            return profile.worst_ns
        return _drawn_ns(profile, _mixed(seed * 1_000_003 + job * 8191 + piece) % 10_000)


def _drawn_ns(profile: Profile, part: int) -> int:
    """Return the time at `part` ten-thousandths of the distribution, straight between points."""
    if part <= 5000:
        return profile.p50_ns
    if part <= 9900:
        return profile.p50_ns + (profile.p99_ns - profile.p50_ns) * (part - 5000) // 4900
    return profile.p99_ns + (profile.worst_ns - profile.p99_ns) * (part - 9900) // 99


def _mixed(value: int) -> int:
    """Scatter a number over 64 bits, the same on every machine.

    Source: splitmix64, Steele, Lea and Flood, OOPSLA 2014.
    """
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Times(BaseModel):
    """Times as people write them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    n: Annotated[int, Field(ge=1)]
    p50_ms: _Ms
    p99_ms: _Ms
    worst_ms: _Ms

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.p50_ms <= self.p99_ms <= self.worst_ms:
            raise ValueError("p50_ms, p99_ms and worst_ms are not in rising order")
        return self

    def profile(self, board: str) -> Profile:
        """Return it as the scheduler takes it."""
        return profile_of_ms(board, self.n, self.p50_ms, self.p99_ms, self.worst_ms)


class Entry(Times):
    """What a profile file says of one model."""

    version: str = ""
    step: Times | None = None
    """Language models: a single step, and so the piece that can't be interrupted."""
    tokens_per_s: Annotated[float, Field(gt=0)] | None = None
    memory_mb: Annotated[float, Field(gt=0)] | None = None

    def piece(self, board: str) -> Profile:
        """Return the times of what can't be interrupted: a step, or else the whole run."""
        found = (self.step or self).profile(board)
        return replace(found, is_step=self.step is not None)


class _ProfileFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    board: Annotated[str, Field(min_length=1)]
    models: dict[str, Entry]


def read_profiles(file: Path) -> dict[tuple[str, str], Entry]:
    """Read a profile file, as `olympus models bench` writes it.

    Args:
        file: YAML: `board: x86-2core`, `models: {NAME: {n, p50_ms, p99_ms, worst_ms}}`, with
            `step: {n, p50_ms, p99_ms, worst_ms}` for a language model.

    Returns:
        What was measured, by model and board.

    Raises:
        ConfigError: It can't be read, or is no profile file.
    """
    try:
        found = _ProfileFile.model_validate(yaml_text.parsed(yaml_text.read(file)))
    except ValidationError as error:
        raise ConfigError(f"{file}: is no profile file: {_told(error)}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: is no profile file: {error}") from error
    return {(name, found.board): entry for name, entry in found.models.items()}


def _told(error: ValidationError) -> str:
    """Say where a profile file is wrong: its first fields that are."""
    lines = [
        f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)[:5]
    ]
    return "; ".join(lines)


def profile_of_ms(board: str, n: int, p50_ms: float, p99_ms: float, worst_ms: float) -> Profile:
    """Make a profile from milliseconds, as people write them."""
    return Profile(
        board=board,
        n=n,
        p50_ns=round(p50_ms * 1e6),
        p99_ns=round(p99_ms * 1e6),
        worst_ns=round(worst_ms * 1e6),
    )
