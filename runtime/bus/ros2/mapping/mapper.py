"""Translates messages: standard types by the table, ours by their own, all others as they are."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.mapping import own
from olympus.runtime.bus.ros2.mapping.context import Context
from olympus.runtime.bus.ros2.mapping.pairs import PAIRS, Pair
from olympus.runtime.bus.ros2.record import Record
from olympus.runtime.errors import MessageError, did_you_mean
from olympus.runtime.messages import Message, RosValue, message_types

for _name in ("motion", "sensors", "ranges", "said"):
    import_module(f"olympus.runtime.bus.ros2.mapping.{_name}")


_SEVERAL = "diagnostic_msgs/msg/DiagnosticArray"


class Mapper:
    """Finds the translation between one of our types and a ROS type."""

    def __init__(self, codecs: Codecs) -> None:
        self.codecs = codecs
        self._default = Context(codecs)

    def ros_type(self, cls: type[Message]) -> str:
        """Return the ROS type that a class becomes unless told otherwise.

        Raises:
            MessageError: A field of the class has no word in ROS.
        """
        return next(
            (one.ros for one in PAIRS if one.cls is cls and one.is_usual), None
        ) or self._own(cls)

    def our_class(self, ros: str) -> type[Message]:
        """Return the class that a ROS type becomes unless told otherwise; or RosValue."""
        name = check_type_name(ros)
        known = next((one.cls for one in PAIRS if one.ros == name and one.from_ros), None)
        return known or self._class_of_own(name) or RosValue

    def pair(self, cls: type[Message], ros: str) -> Pair:
        """Return the translation between a class and a ROS type.

        Raises:
            MessageError: There is none.
        """
        name = check_type_name(ros)
        for one in PAIRS:
            if one.cls is cls and one.ros == name:
                return one
        if cls is RosValue:
            return Pair(cls, name, self._opened, self._wrapped)
        if name == own.own_type(cls):
            self._own(cls)
            return Pair(cls, name, own.to_own, lambda v, c: own.from_own(v, cls, c))
        known = [one.ros for one in PAIRS if one.cls is cls] + [own.own_type(cls)]
        raise MessageError(f"{cls.__name__} can't become {name}; {did_you_mean(name, known)}")

    def to_ros(self, message: Message, ros: str | None = None, ctx: Context | None = None) -> Any:
        """Return one of our messages as a ROS value.

        Args:
            message: The message.
            ros: Which ROS type; None for the usual one.
            ctx: Frames and time; None for Unix time and the usual frames.

        Raises:
            MessageError: There is no such translation, or the message can't be said in ROS.
        """
        found = self.pair(type(message), ros or self._named(message))
        if found.to_ros is None:
            raise MessageError(f"{type(message).__name__} is only read from {found.ros}")
        return found.to_ros(message, ctx or self._default)

    def from_ros(
        self, value: Record, cls: type[Message] | None = None, ctx: Context | None = None
    ) -> Message:
        """Return a ROS value as one of our messages.

        Args:
            value: What was decoded.
            cls: Which of our classes; None for the usual one.
            ctx: Frames and time; None for Unix time.

        Raises:
            MessageError: There is no such translation, or the value makes no sense.
        """
        found = self.pair(cls or self.our_class(value.__ros_type__), value.__ros_type__)
        if found.from_ros is None:
            raise MessageError(f"{found.cls.__name__} is only written to {found.ros}")
        return found.from_ros(value, ctx or self._default)

    def each(self, value: Any) -> list[Any]:
        """Return the values of which each is one of our messages: a DiagnosticArray has several."""
        if value.__ros_type__ != _SEVERAL or len(value.status) < 2:
            return [value]
        return [self.codecs.new(_SEVERAL, header=value.header, status=[s]) for s in value.status]

    def _named(self, message: Message) -> str:
        return message.type if isinstance(message, RosValue) else self.ros_type(type(message))

    def _own(self, cls: type[Message]) -> str:
        """Make sure that the catalogue knows the definition of one of our own types."""
        name = own.own_type(cls)
        if not self.codecs.catalogue.has(name):
            for inner, text in own.definitions(cls):
                self.codecs.catalogue.add(inner, text)
        return name

    def _class_of_own(self, name: str) -> type[Message] | None:
        title = name.removeprefix(f"{own.PACKAGE}/msg/")
        return message_types().get(f"olympus/{title}") if title != name else None

    def _opened(self, message: RosValue, _ctx: Context) -> Any:
        return self.codecs.get(message.type).decode(message.cdr.tobytes())

    def _wrapped(self, value: Record, ctx: Context) -> RosValue:
        cdr = self.codecs.get(value.__ros_type__).encode(value)
        return RosValue(header=ctx.sent, type=value.__ros_type__, cdr=np.frombuffer(cdr, np.uint8))
