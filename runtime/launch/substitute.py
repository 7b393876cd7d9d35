"""`${speed}`, `${env:HOME}`, `${broker.url}`: values put in where a launch file names them.

There are two passes. The early one knows arguments, the environment and the file's folder; the late
one, once a session runs, knows `${session.…}` and `${broker.…}`. `$${` stands for a plain `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import JsonValue

from olympus.runtime.errors import LaunchError, did_you_mean
from olympus.runtime.launch.document import Document, Place

LATE = (
    "broker.url",
    "broker.user",
    "broker.password_file",
    "session.name",
    "session.run_dir",
    "session.endpoint",
)
"""Names that only a running session knows."""
_REFERENCE = re.compile(r"(?<!\$)\$\{([^{}]*)\}")

Look = Callable[[str], JsonValue]
"""Finds the value of what stands between the braces; KeyError to leave it for later."""


def put_in(text: str, look: Look) -> JsonValue:
    """Put values into one text.

    Args:
        text: Any text; references look like `${name}`.
        look: Finds a reference's value; a KeyError leaves the reference as it is.

    Returns:
        The value itself, type kept, when the whole text is one reference; a text otherwise.
    """
    whole = _REFERENCE.fullmatch(text)
    if whole:
        return _found(whole, look)
    return _REFERENCE.sub(lambda match: _as_text(_found(match, look)), text)


def _found(match: re.Match[str], look: Look) -> JsonValue:
    try:
        return look(match[1].strip())
    except KeyError:
        return match[0]


def _as_text(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def references(value: JsonValue) -> set[str]:
    """Return every name between `${` and `}` anywhere in a value."""
    if isinstance(value, str):
        return {name.strip() for name in _REFERENCE.findall(value)}
    if isinstance(value, dict):
        return set().union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def finish(value: JsonValue, late: Mapping[str, JsonValue]) -> JsonValue:
    """Do the late pass over a value.

    Args:
        value: A value of a loaded launch file.
        late: Values of the names in `LATE`.

    Returns:
        The value with nothing left to put in, and `$${` turned into `${`.
    """
    if isinstance(value, dict):
        return {key: finish(item, late) for key, item in value.items()}
    if isinstance(value, list):
        return [finish(item, late) for item in value]
    if isinstance(value, str):
        done = put_in(value, late.__getitem__)
        return done.replace("$${", "${") if isinstance(done, str) else done
    return value


class Early:
    """The early pass over one document."""

    def __init__(self, document: Document, arguments: Mapping[str, JsonValue]) -> None:
        self._document = document
        self._arguments = arguments

    def value(self, value: JsonValue, place: Place) -> JsonValue:
        """Put values into everything below a place.

        A text that starts with `./` or `../` becomes a path below the document's folder.

        Args:
            value: What stands there.
            place: Where that is.

        Raises:
            LaunchError: A reference to nothing; names file and line.
        """
        if isinstance(value, dict):
            return {key: self.value(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*place, i)) for i, item in enumerate(value)]
        if isinstance(value, str):
            done = put_in(value, lambda name: self.look(name, place))
            is_path = value.startswith(("./", "../")) and isinstance(done, str)
            return beside(self._document.file, str(done)) if is_path else done
        return value

    def look(self, name: str, place: Place) -> JsonValue:
        """Return the value of a reference.

        Args:
            name: What stands between the braces.
            place: Where the reference stands, for the error.

        Raises:
            LaunchError: There is nothing of that name.
            KeyError: The late pass knows it.
        """
        if name.startswith("env:"):
            return self._environment(name.removeprefix("env:"), place)
        if name in self._arguments:
            return self._arguments[name]
        if name == "launch_dir":
            return str(self._document.file.parent)
        if name in LATE:
            raise KeyError(name)
        known = [*self._arguments, "launch_dir", "env:NAME", *LATE]
        raise LaunchError(
            f"{self._document.where(place)}: ${{{name}}} is nothing known here; "
            f"{did_you_mean(name, known)}"
        )

    def _environment(self, text: str, place: Place) -> str:
        name, comma, default = text.partition(",")
        value = os.environ.get(name.strip(), default.strip() if comma else None)
        if value is None:
            raise LaunchError(
                f"{self._document.where(place)}: the environment has no {name!r}; "
                f"set it, or write ${{env:{name},default}}"
            )
        return value


def beside(file: Path, relative: str) -> str:
    """Return a path that is relative to a file's folder as an absolute one."""
    return os.path.normpath(file.parent / relative)
