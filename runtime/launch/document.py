"""A YAML file as plain values that still know which line they stood on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml
from pydantic import JsonValue

from olympus.runtime.errors import LaunchError, did_you_mean

Place: TypeAlias = tuple[str | int, ...]
"""The keys and indices that lead from a file's top to a value."""

_MAX_DEPTH = 64
MAX_BYTES = 4 * 2**20
MAX_VALUES = 200_000
"""Aliases repeat what they stand for: a file of a few lines can say a billion values."""


@dataclass(frozen=True, slots=True)
class Document:
    """What one YAML file says."""

    file: Path
    """Absolute path of the file."""
    data: dict[str, JsonValue]
    """The top-level mapping; empty for an empty file."""
    lines: dict[Place, int] = field(default_factory=dict)
    """Line of each key and list item, counted from 1."""

    def where(self, place: Place) -> str:
        """Return `file:line` of a value, or of the nearest thing around it that has a line.

        Args:
            place: Keys and indices from the top; unknown parts are left out.
        """
        known: Place = ()
        for part in place:
            if (*known, part) in self.lines:
                known = (*known, part)
        return f"{shown(self.file)}:{self.lines.get(known, 1)}"


def shown(file: Path) -> str:
    """Return a path the short way: relative to the current directory when it lies below it."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


class _Loader(yaml.SafeLoader):
    """Safe YAML, in which a date is a text like any other."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_value(text: str) -> JsonValue:
    """Read the value of a `key:=value` as YAML.

    Args:
        text: What stands after `:=`.

    Returns:
        The value; the text itself where it is no YAML. A mapping or list must be in brackets, so
        that a GStreamer pipeline with a colon stays a text.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            return text
        return None if node is None else _Reader(loader, Path("command line")).value(node, ())
    except (yaml.YAMLError, LaunchError, RecursionError):
        return text


def read(file: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Args:
        file: Its path.

    Returns:
        Its values and their lines.

    Raises:
        LaunchError: The file is missing, unreadable, too large or no such YAML; names file and
            line.
    """
    try:
        with file.open("rb") as source:
            raw = source.read(MAX_BYTES + 1)  # no more: it may be /dev/zero
        text = raw.decode("utf-8")
    except FileNotFoundError as error:
        raise LaunchError(missing(file)) from error
    except IsADirectoryError as error:
        hint = _instead(file, file)
        raise LaunchError(f"{shown(file)} is a folder, not a launch file; {hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LaunchError(f"{shown(file)} can't be read: {error}") from error
    if len(raw) > MAX_BYTES:
        raise LaunchError(
            f"{shown(file)} is larger than {MAX_BYTES // 2**20} MiB; is it a launch file? "
            "What is long can stand in files of its own: include, params_files"
        )
    return parse(text, file)


def missing(file: Path) -> str:
    """Say that a launch file does not exist, and which one was probably meant."""
    return f"{shown(file)} does not exist; {_instead(file, file.parent)}"


def _instead(file: Path, folder: Path) -> str:
    """Say which launch file of a folder was probably meant."""
    found = [shown(other) for other in folder.glob("*.yaml")]
    return did_you_mean(shown(file), found) if found else "check the path"


def parse(text: str, file: Path) -> Document:
    """Read YAML text; see `read`.

    Raises:
        LaunchError: The text is no YAML, or its top level is not a mapping.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        reader = _Reader(loader, file)
        data = reader.value(root, ()) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        hint = "; inside { } or [ ] put quotes around '${…}'" if "${" in text else ""
        raise LaunchError(f"{shown(file)}:{line}: no valid YAML: {error.problem}{hint}") from error
    except yaml.YAMLError as error:
        raise LaunchError(f"{shown(file)}: no valid YAML: {error}") from error
    except RecursionError as error:  # a params file is read again while everything runs
        raise LaunchError(f"{shown(file)}: is nested too deeply") from error
    if not isinstance(data, dict):
        raise LaunchError(f"{shown(file)}:1: must be a mapping such as 'nodes: ...'")
    return Document(file.absolute(), data, reader.lines)


class _Reader:
    """Turns composed YAML nodes into values and notes their lines."""

    def __init__(self, loader: _Loader, file: Path) -> None:
        self._loader = loader
        self._file = file
        self._flat: set[int] = set()
        self._count = 0
        self.lines: dict[Place, int] = {}

    def value(self, node: yaml.Node, place: Place) -> JsonValue:
        """Return the value of a node."""
        if len(place) > _MAX_DEPTH:
            raise self._error(node, "nested too deeply, or an alias contains itself")
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES} values, those of aliases counted")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*place, i)) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, JsonValue]:
        if id(node) not in self._flat:  # an alias comes by more than once
            self._refuse_doubles(node)
            self._loader.flatten_mapping(node)
            self._flat.add(id(node))
        result: dict[str, JsonValue] = {}
        for key, value in node.value:
            self.lines[*place, key.value] = key.start_mark.line + 1
            result[key.value] = self.value(value, (*place, key.value))
        return result

    def _refuse_doubles(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, "a key must be a word; put quotes around it")
            if key.value in seen and not key.tag.endswith(":merge"):
                raise self._error(key, f"the key {key.value!r} stands here twice; remove one")
            seen.add(key.value)

    def _item(self, node: yaml.Node, place: Place) -> JsonValue:
        self.lines[place] = node.start_mark.line + 1
        return self.value(node, place)

    def _scalar(self, node: yaml.Node) -> JsonValue:
        value = self._loader.construct_object(node)
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise self._error(node, f"a {type(value).__name__} has no place here; put quotes around it")

    def _error(self, node: yaml.Node, problem: str) -> LaunchError:
        return LaunchError(f"{shown(self._file)}:{node.start_mark.line + 1}: {problem}")
