"""Message and its header, and the register of all message types."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar, dataclass_transform

from olympus.runtime.errors import MessageError, SchemaError, did_you_mean
from olympus.runtime.messages.schema import Schema, schema_of
from olympus.runtime.qos import Tier

M = TypeVar("M", bound="Message")
MAX_HOPS = 8


@dataclass(frozen=True, slots=True)
class Hop:
    """One publication on the way from a sensor to here."""

    topic: str
    seq: int
    stamp: int
    """Capture time of what was published, ns."""
    sent: int
    """Robot time at which it was published, ns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Where a message comes from, and until when it is worth anything.

    Raises:
        MessageError: `seq`, `stamp` or `expires` is negative.
    """

    seq: int = 0
    """Counts the messages of one publisher on one topic, from 1; a gap is a loss."""
    stamp: int = 0
    """When what it says was true: capture time in robot time, ns."""
    expires: int = 0
    """Robot time after which it must not be used, ns; 0 = never."""
    tier: Tier = Tier.NORMAL
    source: str = ""
    """Full name of the node that published it."""
    trace: tuple[Hop, ...] = ()
    """What caused it, the sensor's message first, this one's own publication last; at most 8."""

    def __post_init__(self) -> None:
        if self.seq < 0 or self.stamp < 0 or self.expires < 0:
            raise MessageError(
                f"seq={self.seq}, stamp={self.stamp}, expires={self.expires}: none can be negative"
            )

    def has_expired(self, now_ns: int) -> bool:
        """Tell whether it is worth nothing any more at robot time `now_ns`."""
        return 0 < self.expires < now_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A typed value with a header; subclasses add the value's fields."""

    ALIKE: ClassVar[str] = ""
    """Field of a question, a text or a number, which tells how long its answer may take, such as
    who is to work it out; empty where all of a service take about the same time."""

    header: Header = Header()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opaque(Message):
    """A message as it came, of a type that is not known here or in another version of it.

    Only who asks for it gets one: a recorder, which keeps what others will understand.
    """

    type: str
    """Name of its type."""
    frame: bytes
    """What `encode` made of it."""


_by_name: dict[str, Schema] = {}
_by_class: dict[type[Message], Schema] = {}


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    eq_default=False,
    field_specifiers=(dataclasses.field,),
)
def message(name: str, *, version: int = 1) -> Callable[[type[M]], type[M]]:
    """Turn a subclass of Message into a registered message type.

    Args:
        name: The name it travels under, `package/Name`.
        version: Raise it by one whenever a field is added, removed or changed: who speaks another
            version is then told which side is the older.

    Returns:
        A decorator that makes the class a frozen, slotted, keyword-only dataclass. Its instances
        compare by identity, since arrays have no single equality; compare `encode(a) == encode(b)`.
    """

    def register(cls: type[M]) -> type[M]:
        made = dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)(cls)
        schema = schema_of(made, name, version)
        known = _by_name.get(name)
        if known is not None and known.hash != schema.hash:
            raise MessageError(f"message {name!r} is defined twice, differently; rename one")
        _by_name[name] = _by_class[made] = schema
        return made

    return register


def schema_by_name(name: str) -> Schema:
    """Return the schema registered under `name`.

    Raises:
        SchemaError: There is none.
    """
    try:
        return _by_name[name]
    except KeyError:
        short = name[:80]  # what a stranger sent may be long, and likeness is slow to find
        raise SchemaError(
            f"unknown message type {short!r}; {did_you_mean(short, _by_name)}"
        ) from None


def schema_by_class(cls: type[Message]) -> Schema:
    """Return the schema of a message class.

    Raises:
        MessageError: The class is not decorated with `@message`.
    """
    try:
        return _by_class[cls]
    except KeyError:
        raise MessageError(
            f"{cls.__name__} is no message type; decorate it with @message('package/Name')"
        ) from None


def message_types() -> dict[str, type[Message]]:
    """Return all registered message types by name."""
    return {name: schema.cls for name, schema in _by_name.items()}
