"""The table of translations; the files beside it fill it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from olympus.runtime.bus.ros2.mapping.context import Context
from olympus.runtime.messages import Message

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Pair:
    """One of our message types and a ROS type that says the same."""

    cls: type[Message]
    ros: str
    """Full name of the ROS type."""
    to_ros: Callable[[Any, Context], Any] | None
    from_ros: Callable[[Any, Context], Message] | None
    is_usual: bool = True
    """Whether the class may become this type without being told to."""


PAIRS: list[Pair] = []
"""In the order of preference: the first of a class is what it becomes unless told otherwise."""


def pair(
    cls: type[M],
    ros: str,
    to_ros: Callable[[M, Context], Any] | None,
    from_ros: Callable[[Any, Context], M] | None,
    *,
    is_usual: bool = True,
) -> None:
    """Add a translation; None for a direction that there is none of."""
    PAIRS.append(Pair(cls, ros, to_ros, from_ros, is_usual))
