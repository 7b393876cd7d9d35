"""Topic names: what is allowed, and how a node's relative name becomes a full one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Message, schema_by_class

T = TypeVar("T")
_PART = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_.-]*\Z")


def check_topic(name: str) -> str:
    """Return `name` if it is a topic name.

    Args:
        name: Parts of letters, digits, `_`, `.`, `-`, joined by single slashes, none at the ends.

    Raises:
        ConfigError: It is not; the message shows where.
    """
    position = 0
    for part in name.split("/"):
        if not _PART.match(part):
            raise ConfigError(
                f"topic {name!r} is not usable here:\n  {name}\n  {' ' * position}^\n"
                "use parts of letters, digits, '_', '.', '-', joined by single slashes"
            )
        position += len(part) + 1
    return name


def resolve(name: str, namespace: str, remaps: dict[str, str]) -> str:
    """Turn the topic name written in a node into the full name.

    Args:
        name: As written: relative (`camera/image`) or absolute (`/safety/state`).
        namespace: What goes before a relative name; empty for nothing.
        remaps: From names as written to other names, relative or absolute.

    Returns:
        The full name, without a leading slash.

    Raises:
        ConfigError: The result is no topic name.
    """
    name = remaps.get(name, name)
    if name.startswith("/"):
        return check_topic(name[1:])
    if name.startswith("@") or not namespace:
        return check_topic(name)
    return check_topic(f"{namespace.strip('/')}/{name}")


def matches(pattern: str, topic: str) -> bool:
    """Tell whether a topic is meant by a pattern.

    Args:
        pattern: A topic name in which `*` stands for one part and `**` for any number, also none.
        topic: A full topic name.
    """
    return pattern == topic or ("*" in pattern and _match(pattern.split("/"), topic.split("/")))


class ByTopic(dict[str, T]):
    """What belongs to each topic; found, and kept by who finds it, when it is asked for first."""

    def __init__(self, find: Callable[[str], T]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, topic: str) -> T:
        return self._find(topic)


def _match(pattern: list[str], parts: list[str]) -> bool:
    """Do what `matches` does, in time that grows with both lengths, whatever they are.

    Where the parts go on in another way than the pattern, the last `**` takes one more of them: an
    earlier one would leave less to those after it, and never more.
    """
    at = taken = 0
    stars, after = -1, 0
    while taken < len(parts):
        if at < len(pattern) and pattern[at] == "**":
            stars, after = at, taken
            at += 1
        elif at < len(pattern) and pattern[at] in ("*", parts[taken]):
            at, taken = at + 1, taken + 1
        elif stars >= 0:
            after += 1
            at, taken = stars + 1, after
        else:
            return False
    return all(one == "**" for one in pattern[at:])


def type_name(cls: type[Message]) -> str:
    """Return the name a message type travels under; `*` for Message itself, which means any."""
    return "*" if cls is Message else schema_by_class(cls).name
