"""A plan: what a sentence asks for, as checked steps, and how it reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from olympus.runtime.errors import ModelError

Name = Annotated[str, Field(min_length=1, max_length=64)]
Direction = Literal["left", "right", "around"]


class Condition(BaseModel):
    """What ends a step."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sees: Name | None = None
    """A thing in view."""
    hears: Name | None = None
    """A sound."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.sees is None) == (self.hears is None):
            raise ValueError("name one thing that it sees or hears")
        return self


class Step(BaseModel):
    """One thing to do; the fields that its verb does not use are None."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    do: Literal["patrol", "go", "turn", "wait", "stop", "continue"]
    place: Name | None = None
    x: float | None = None
    y: float | None = None
    rounds: Annotated[int, Field(ge=1, le=1000)] | None = None
    direction: Direction | None = None
    degrees: Annotated[float, Field(gt=0, le=360)] | None = None
    seconds: Annotated[float, Field(gt=0, le=86400)] | None = None
    minutes: Annotated[float, Field(gt=0, le=1440)] | None = None
    until: Condition | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = frozenset(self.model_dump(exclude_none=True)) - {"do"}
        if given not in _SHAPES[self.do]:
            raise ValueError(f"{self.do!r} can't have {', '.join(sorted(given)) or 'nothing'}")
        return self


_SHAPES: dict[str, set[frozenset[str]]] = {
    "patrol": {
        frozenset(filter(None, (place, rounds, until)))
        for place in ("", "place")
        for rounds in ("", "rounds")
        for until in ("", "until")
    },
    "go": {frozenset(("place",)), frozenset(("x", "y"))},
    "turn": {frozenset(("direction",)), frozenset(("direction", "degrees"))},
    "wait": {frozenset(("seconds",)), frozenset(("minutes",)), frozenset(("until",))},
    "stop": {frozenset()},
    "continue": {frozenset()},
}
_WITHOUT_ARTICLE = ("home",)
Plan = tuple[Step, ...]
"""Steps, done one after the other; an empty plan means: not understood."""

_PLAN = TypeAdapter(Plan)


def read_plan(text: str) -> Plan:
    """Read a plan from JSON.

    Args:
        text: A JSON list of steps.

    Raises:
        ModelError: It is no JSON, or a step is not one of those that exist.
    """
    try:
        return _PLAN.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(f"plan {text!r:.200}: {where}: {first['msg']}") from error


def to_json(plan: Sequence[Step]) -> str:
    """Write a plan as compact JSON, without fields that are not used."""
    steps = [step.model_dump(exclude_none=True) for step in plan]
    return json.dumps(steps, separators=(",", ":"), ensure_ascii=False)


def short(plan: Sequence[Step]) -> str:
    """Write a plan as an engineer would note it: `patrol lobby x2 ; wait until sees person`."""
    return " ; ".join(_short(step) for step in plan) or "-"


def read_short(text: str) -> Plan:
    """Read what `short` writes.

    Raises:
        ModelError: It is not so.
    """
    if text.strip() == "-":
        return ()
    return read_plan(json.dumps([_step(part.split()) for part in text.split(";")]))


def spoken(plan: Sequence[Step]) -> str:
    """Say a plan back to whoever asked: `go to the lab, then wait 10 seconds`."""
    return ", then ".join(_spoken(step) for step in plan)


def _short(step: Step) -> str:
    words: list[str] = [step.do]
    if step.place:
        words.append(step.place)
    if step.x is not None and step.y is not None:
        words.append(f"@{step.x:g},{step.y:g}")
    words += [step.direction] if step.direction else []
    words += [f"{step.degrees:g}"] if step.degrees else []
    words += [f"x{step.rounds}"] if step.rounds else []
    words += [f"{step.seconds:g}s"] if step.seconds else []
    words += [f"{step.minutes:g}m"] if step.minutes else []
    if step.until is not None:
        verb, name = ("sees", step.until.sees) if step.until.sees else ("hears", step.until.hears)
        words += ["until", verb, str(name)]
    return " ".join(words)


def _step(words: list[str]) -> dict[str, object]:
    step: dict[str, object] = {"do": words[0]}
    rest = words[1:]
    if "until" in rest:
        at = rest.index("until")
        step["until"] = {rest[at + 1]: " ".join(rest[at + 2 :])}
        rest = rest[:at]
    if words[0] == "turn":
        step |= {"direction": rest[0]} | ({"degrees": rest[1]} if rest[1:] else {})
    elif words[0] == "wait" and rest:
        step["minutes" if rest[0].endswith("m") else "seconds"] = rest[0][:-1]
    elif rest and rest[0].startswith("@"):
        step |= dict(zip("xy", rest[0][1:].split(","), strict=True))
    else:
        if rest and rest[-1][0] == "x" and rest[-1][1:].isdigit():
            step["rounds"] = rest.pop()[1:]
        step |= {"place": " ".join(rest)} if rest else {}
    return step


def _spoken(step: Step) -> str:
    match step.do:
        case "patrol":
            where = f" the {step.place}" if step.place else ""
            rounds = f" {step.rounds} rounds" if step.rounds else ""
            return f"patrol{where}{rounds}{_until(step)}"
        case "go":
            return f"go {_where(step)}" if step.place == "home" else f"go to {_where(step)}"
        case "turn":
            degrees = f" by {step.degrees:g} degrees" if step.degrees else ""
            return f"turn {step.direction}{degrees}"
        case "wait":
            long = f" {step.seconds:g} seconds" if step.seconds else ""
            long = f" {step.minutes:g} minutes" if step.minutes else long
            return f"wait{long}{_until(step)}"
        case verb:
            return verb


def _where(step: Step) -> str:
    if step.place in _WITHOUT_ARTICLE:
        return str(step.place)
    return f"the {step.place}" if step.place else f"{step.x:g}, {step.y:g}"


def _until(step: Step) -> str:
    if step.until is None:
        return ""
    if step.until.sees:
        return f" until I see a {step.until.sees}"
    return f" until I hear a {step.until.hears}"
