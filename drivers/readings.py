"""From MQTT payloads to readings: which topic means what, in which unit, within which range."""

from __future__ import annotations

import re
import struct
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(max_length=200)]
_LEVEL = re.compile(r"\{(\d+)\}")


class ReadingRule(BaseModel):
    """How the messages of some topics become one reading each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: Name = Field(
        min_length=1, description="Topic filter; '+' is one level, '#' at the end all the rest."
    )
    kind: Literal["json", "number", "binary"] = Field(
        default="json",
        description="Payload: JSON, a number as text, or bytes laid out by 'format'.",
    )
    path: Name = Field(
        default="",
        description="Where in the JSON: a pointer '/a/0/b' or dots 'a.0.b'; empty = all of it.",
    )
    format: Name = Field(
        default="<f",
        description="Layout of binary payloads, as Python's struct has it, such as '<hH'.",
    )
    index: int = Field(default=0, ge=0, le=255, description="Which value of 'format', from 0.")
    name: Name = Field(
        default="",
        description="Name of the reading; '{1}' is level 1 of the topic; empty = the topic.",
    )
    device: Name = Field(default="", description="Which device says so; '{1}' as in 'name'.")
    unit: Name = Field(
        default="1", description="SI or UCUM symbol, such as Cel, %, m/s; 1 = no unit."
    )
    scale: float = Field(
        default=1.0, allow_inf_nan=False, description="value = raw x scale + offset."
    )
    offset: float = Field(
        default=0.0, allow_inf_nan=False, description="value = raw x scale + offset."
    )
    range: tuple[float, float] | None = Field(
        default=None, description="Lowest and highest value that can be true; others are not valid."
    )
    words: dict[str, float] = Field(
        default_factory=dict, description="Numbers for words, such as {open: 1, closed: 0}."
    )
    stale_s: float = Field(
        default=0.0,
        ge=0,
        description="Silence after which a reading is not valid any more; 0 = never.",
    )
    retained: Literal["accept", "ignore"] = Field(
        default="accept", description="What to do with values the broker kept from before we came."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_filter(self.topic)
        if self.range is not None and not self.range[0] <= self.range[1]:
            raise ValueError(f"range {list(self.range)}: the lowest must come first")
        if self.kind == "binary":
            _check_format(self.format, self.index)
        return self


def check_filter(topic: str) -> None:
    """Check a topic filter.

    Raises:
        ValueError: A wildcard stands where none may.
    """
    levels = topic.split("/")
    if "#" in levels[:-1] or any("#" in one and one != "#" for one in levels):
        raise ValueError(f"topic {topic!r}: '#' may only be the whole last level")
    if any("+" in one and one != "+" for one in levels):
        raise ValueError(f"topic {topic!r}: '+' must be a whole level")


def matches(topic: str, topic_filter: str) -> bool:
    """Tell whether a topic is one of a filter's.

    Source: MQTT 3.1.1, section 4.7: `a/#` matches `a` too; a wildcard at the start never matches
    topics that begin with `$`.
    """
    levels, pattern = topic.split("/"), topic_filter.split("/")
    if topic.startswith("$") and pattern[0] in ("+", "#"):
        return False
    if pattern[-1] == "#":
        pattern = pattern[:-1]
        levels = levels[: len(pattern)]
    return len(levels) == len(pattern) and all(
        want in ("+", got) for got, want in zip(levels, pattern, strict=True)
    )


def covers(wide: str, narrow: str) -> bool:
    """Tell whether every topic that the filter `narrow` matches is matched by `wide` too."""
    levels, pattern = narrow.split("/"), wide.split("/")
    if pattern[-1] == "#":
        pattern = pattern[:-1]
        levels = levels[: len(pattern)]
    return len(levels) == len(pattern) and all(
        want == got or (want == "+" and got != "#")
        for got, want in zip(levels, pattern, strict=True)
    )


def fill_levels(template: str, topic: str) -> str:
    """Put the levels of a topic into a template; empty gives the topic, a missing level nothing."""
    levels = topic.split("/")

    def level(found: re.Match[str]) -> str:
        number = int(found[1])
        return levels[number] if number < len(levels) else ""

    return _LEVEL.sub(level, template) if template else topic


def _check_format(layout: str, index: int) -> None:
    try:
        count = len(struct.unpack(layout, bytes(struct.calcsize(layout))))
    except struct.error as error:
        raise ValueError(f"format {layout!r}: {error}; try '<f' or '>hH'") from error
    if index >= count:
        raise ValueError(f"index {index}: format {layout!r} holds {count} values, counted from 0")
