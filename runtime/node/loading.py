"""From `uses: olympus.nodes.detector` to a Node class."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import traceback
from pathlib import Path

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.node.node import Node


def load_node_class(uses: str) -> type[Node]:
    """Import the node class that a launch file names.

    Args:
        uses: `package.module` that defines one public Node class, or `package.module:Class`.

    Raises:
        ConfigError: The module or the class does not exist, or the module defines none or several.
    """
    module_name, _, class_name = uses.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"uses: {uses}: {_missing(error, module_name)}") from error
    found: dict[str, type[Node]] = {
        name: member
        for name, member in inspect.getmembers(module, _is_node_class)
        if member.__module__ == module.__name__ or module.__name__ in member.__module__
    }
    if class_name:
        if class_name not in found:
            raise ConfigError(f"uses: {uses}: no such node; {did_you_mean(class_name, found)}")
        return found[class_name]
    if len(found) != 1:
        names = ", ".join(found) or "none"
        raise ConfigError(
            f"uses: {uses}: one node class is needed there, found {names}; "
            f"name it: '{module_name}:ClassName'"
        )
    return next(iter(found.values()))


def why_not_imported(module: str) -> str:
    """Import a module for what it defines; return why that fails, empty when it does not."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return _missing(error, module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  a person's module may fail in any way
        what, file, line = failed_at(error)
        return f"importing {module} fails: {what} ({file}:{line})"
    return ""


def failed_at(error: BaseException) -> tuple[str, str, int | None]:
    """Return what failed, and in which file and line."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{name}: {error.msg}", error.filename or where.filename, error.lineno
    return f"{name}: {error}", where.filename, where.lineno


def _missing(error: ModuleNotFoundError, wanted: str) -> str:
    """Say which module is missing: what was to be loaded, or what it imports, and where."""
    name = error.name or str(error)
    parent, _, leaf = name.rpartition(".")
    inside = getattr(sys.modules.get(parent), "__path__", None)
    known = [found.name for found in pkgutil.iter_modules(inside)] if inside else []
    hint = f"; {did_you_mean(leaf, known)}" if known else ""
    if f"{wanted}.".startswith(f"{name}."):
        return f"there is no module {name!r}{hint}"
    if known:
        return f"{_importer(error)} imports {name!r}, and there is no such module{hint}"
    return (
        f"{_importer(error)} needs {name!r}, which is not installed; "
        f"install it, or the extra of Olympus that brings it"
    )


def _importer(error: ModuleNotFoundError) -> str:
    """Return file and line of the import that failed."""
    frames = traceback.extract_tb(error.__traceback__)
    names = [f"{one.filename}:{one.lineno}" for one in frames if one.filename[:1] != "<"]
    return names[-1] if len(names) > 1 else "it"  # the first is ours


def look_beside(folder: Path) -> None:
    """Let node modules be imported that lie in `folder`, behind everything that is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _is_node_class(member: object) -> bool:
    return (
        inspect.isclass(member)
        and issubclass(member, Node)
        and member is not Node
        and not member.__name__.startswith("_")
    )
