"""Reading a launch file and its includes, with arguments and substitutions put in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import JsonValue

from olympus.runtime.errors import LaunchError, did_you_mean
from olympus.runtime.launch.arguments import WELL_KNOWN, Given, argument_value
from olympus.runtime.launch.document import Document, missing, read, shown
from olympus.runtime.launch.loaded import Loaded, add_own, merge
from olympus.runtime.launch.plan import joined
from olympus.runtime.launch.schema import Argument, Include, LaunchFile
from olympus.runtime.launch.substitute import Early, beside
from olympus.runtime.launch.validate import validated


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where in the tree of includes the reader stands."""

    typed: Mapping[str, Given]
    """From the command line: for the top file and for all that declare the same argument."""
    passed: Mapping[str, Given] = field(default_factory=dict)
    """From the include itself; these win."""
    scope: str = ""
    ambient: str = ""
    """Namespace of the including file."""
    forced: str | None = None
    """Namespace that the include asks for."""
    trail: tuple[Path, ...] = ()
    """Files being read, outermost first."""


def load(file: Path, given: Mapping[str, Given]) -> Loaded:
    """Read a launch file with all it includes.

    Args:
        file: Path of the launch file.
        given: What the command line sets; what no file declares as an argument is left alone.

    Raises:
        LaunchError: Anything in one of the files is wrong; names file and line.
    """
    return _load(file, _Frame(given))


def _load(file: Path, frame: _Frame) -> Loaded:
    file = file.absolute()
    if file in frame.trail:
        circle = [shown(f) for f in (*frame.trail[frame.trail.index(file) :], file)]
        raise LaunchError(f"these launch files include each other: {' -> '.join(circle)}")
    document = read(file)
    declared, arguments = _arguments(document, frame)
    top = validated(LaunchFile, _substituted(document, arguments), document)
    own = top.namespace or frame.ambient
    namespace = own if frame.forced is None else joined(frame.ambient, frame.forced)
    loaded = Loaded(file, top, namespace, arguments, declared)
    trail = (*frame.trail, file)
    inner = _Frame(frame.typed, scope=frame.scope, ambient=namespace, trail=trail)
    for index, include in enumerate(top.include):
        where = document.where(("include", index))
        merge(loaded, _included(document, include, inner, where), where)
    add_own(loaded, document, frame.scope)
    return loaded


def _arguments(
    document: Document, frame: _Frame
) -> tuple[dict[str, Argument], dict[str, JsonValue]]:
    written = document.data.get("arguments") or {}
    if not isinstance(written, dict):
        where = document.where(("arguments",))
        raise LaunchError(f"{where}: arguments must be a mapping such as 'speed: 0.4'")
    declared: dict[str, Argument] = {}
    values: dict[str, JsonValue] = {}
    for name in [*(known for known in WELL_KNOWN if known not in written), *written]:
        place = ("arguments", name)
        if name in written:
            raw = Early(document, values).value(written[name], place)
            declared[name] = validated(Argument, raw, document, place)
        else:
            declared[name] = WELL_KNOWN[name]
        given = frame.passed.get(name, frame.typed.get(name))
        values[name] = argument_value(name, declared[name], given, document.where(place))
    unknown = next((name for name in frame.passed if name not in declared), None)
    if unknown is not None:
        hint = did_you_mean(unknown, declared)
        raise LaunchError(f"{shown(document.file)}: unknown argument {unknown!r}; {hint}")
    return declared, values


def _substituted(document: Document, arguments: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Put values in everywhere but into declarations and conditions."""
    early = Early(document, arguments)
    result: dict[str, JsonValue] = {}
    for key, value in document.data.items():
        result[key] = value if key == "arguments" else early.value(value, (key,))
    nodes, written = result.get("nodes"), document.data.get("nodes")
    for name, node in nodes.items() if isinstance(nodes, dict) else ():
        raw = written.get(name) if isinstance(written, dict) else None
        if isinstance(node, dict) and isinstance(raw, dict) and "enabled" in raw:
            node["enabled"] = raw["enabled"]
    return result


def _included(document: Document, include: Include, inner: _Frame, where: str) -> Loaded:
    file = Path(beside(document.file, include.file))
    if not file.exists():
        raise LaunchError(f"{where}: include: {missing(file)}")
    frame = replace(
        inner,
        passed={name: Given.from_value(value) for name, value in include.arguments.items()},
        scope=joined(inner.scope, include.namespace),
        forced=include.namespace or None,
    )
    return _load(file, frame)
