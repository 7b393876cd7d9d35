"""What a launch file lets one set from outside, and what was set with `key:=value`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.document import parse_value
from olympus.runtime.launch.schema import Argument

WELL_KNOWN = {
    "use_sim_time": Argument(
        default=False, description="Whether nodes take their time from a simulation."
    ),
    "params_file": Argument(default="", description="A params file laid over all others."),
}
"""Arguments that every launch file has without declaring them."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value that was given for an argument or a param."""

    value: JsonValue
    """As YAML reads it."""
    text: str
    """As it was written."""

    @classmethod
    def from_value(cls, value: JsonValue) -> Given:
        """Return a value that was never a text of its own."""
        return cls(value, str(value))


def parse_assignments(words: Iterable[str]) -> dict[str, Given]:
    """Read `key:=value` words of a command line.

    A value that starts with `./` or `../` becomes a path below the current directory.

    Args:
        words: Such as `speed:=0.4`.

    Returns:
        What was given, by key; a later word wins.

    Raises:
        LaunchError: A word has no `:=` or no key.
    """
    result: dict[str, Given] = {}
    for word in words:
        key, sign, text = word.partition(":=")
        if not sign or not key.strip():
            near = f"; did you mean {word.replace('=', ':=', 1)!r}?" if "=" in word else ""
            raise LaunchError(
                f"{word!r} is no key:=value{near or '; write for example speed:=0.4'}"
            )
        if text.startswith(("./", "../")):
            text = os.path.normpath(Path.cwd() / text)
        result[key.strip()] = Given(parse_value(text), text)
    return result


def argument_value(name: str, argument: Argument, given: Given | None, where: str) -> JsonValue:
    """Return an argument's value, checked against its declaration.

    Args:
        name: The argument's name.
        argument: Its declaration; the default has been substituted.
        given: What was given, or None for the default.
        where: `file:line` of the declaration, for errors.

    Raises:
        LaunchError: It must be given and was not, or its type, range or choices refuse it.
    """
    if given is None and argument.is_required:
        told = f" ({argument.description})" if argument.description else ""
        raise LaunchError(f"{where}: argument {name!r}{told} has no default; give {name}:=VALUE")
    value = argument.default if given is None else _typed(name, argument, given, where)
    if argument.choices is not None and value not in argument.choices:
        choices = ", ".join(str(choice) for choice in argument.choices)
        raise LaunchError(f"{where}: {name}:={value} is not allowed; choose one of: {choices}")
    _check_range(name, value, argument, where)
    return value


def _typed(name: str, argument: Argument, given: Given, where: str) -> JsonValue:
    default, value = argument.default, given.value
    if argument.is_required or default is None or type(value) is type(default):
        return value
    if isinstance(default, str):
        return given.text
    if type(default) is float and type(value) is int:
        return float(value)
    raise LaunchError(
        f"{where}: {name}:={given.text} is {_kind(value)}, but must be {_kind(default)} "
        f"like its default {default!r}"
    )


def _check_range(name: str, value: JsonValue, argument: Argument, where: str) -> None:
    if argument.range is None:
        return
    low, high = argument.range
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= float(str(value)) <= high:
        raise LaunchError(f"{where}: {name}:={value} must be a number from {low:g} to {high:g}")


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}


def _kind(value: JsonValue) -> str:
    return _KINDS[type(value)]
