"""How a node class says what it publishes, hears, does in time, and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints, overload

from numpy.typing import DTypeLike, NDArray

from olympus.runtime.bus import Publisher, PublisherOptions
from olympus.runtime.errors import ConfigError, LifecycleError
from olympus.runtime.messages import Message
from olympus.runtime.qos import QoS, Tier

if TYPE_CHECKING:
    from olympus.runtime.node.journal import NodeJournal
    from olympus.runtime.node.node import Node

M = TypeVar("M", bound=Message)
F = TypeVar("F", bound=Callable[..., Any])
_MARKS = "_olympus_marks"


class Output(Generic[M]):
    """The publisher of one declared output, as a node holds it."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.unsent = 0
        """Messages published while the node was not active: not sent, counted here."""
        self._publisher: Publisher[M] | None = None
        self.is_open = False
        self.journal: NodeJournal | None = None
        """Where the node's journal is told what goes out."""

    def bind(self, publisher: Publisher[M] | None) -> None:
        """Give it the bus's publisher, or take it away."""
        self._publisher = publisher

    @property
    def publisher(self) -> Publisher[M] | None:
        """The bus's publisher; None before the node is configured."""
        return self._publisher

    def publish(self, message: M, *, cause: Message | None = None) -> M:
        """Publish; a node that is not active publishes nothing, and counts it in `unsent`.

        Args:
            message: The value; leave its header empty except for a `stamp`, `expires` or `tier` of
                its own.
            cause: The message that led to it: hands on its stamp and its trace.

        Returns:
            The message as published.

        Raises:
            LifecycleError: The node is not configured.
        """
        publisher = self._publisher
        if publisher is None or not self.is_open:
            self._checked()
            self.unsent += 1
            return message
        sent = publisher.publish(message, cause=cause)
        return sent if self.journal is None else self._told(sent)

    async def send(self, message: M, *, cause: Message | None = None) -> M:
        """Publish as soon as every `block` subscription in this host has room.

        Raises:
            LifecycleError: The node is not configured.
        """
        publisher = self._checked()
        if not self.is_open:
            self.unsent += 1
            return message
        return self._told(await publisher.send(message, cause=cause))

    def loan(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array to write into; published in a message, it is not copied on the way.

        Args:
            shape: Of the array; its content is not defined.
            dtype: Of the array.

        Raises:
            LifecycleError: The node is not configured.
        """
        return (self._publisher or self._checked()).loan(shape, dtype)

    def _told(self, message: M) -> M:
        if self.journal is not None:
            self.journal.sent(message)
        return message

    def _checked(self) -> Publisher[M]:
        if self._publisher is None:
            raise LifecycleError(
                f"{self.topic}: nothing can be published before the node is configured; "
                "publish in a handler, a timer or on_activate"
            )
        return self._publisher


class output(Generic[M]):  # noqa: N801  reads as a declaration
    """Declare an output: `detections = output("detections", Detections)`."""

    def __init__(
        self,
        topic: str,
        cls: type[M],
        *,
        tier: Tier = Tier.NORMAL,
        latched: bool = False,
        is_reliable: bool = False,
        lifetime_s: float | None = None,
    ) -> None:
        """Declare it.

        Args:
            topic: Relative name; remapped and namespaced by the launch file.
            cls: Message type.
            tier: Urgency of its messages.
            latched: Keep the last value for late joiners.
            is_reliable: Make room for every message on the way; right for events, wrong for frames.
            lifetime_s: How long after its stamp a message is worth something; None = for ever.
        """
        self.topic, self.cls = topic, cls
        self._tier, self._latched = tier, latched
        self._is_reliable, self._lifetime_s = is_reliable, lifetime_s
        self.attribute = ""

    def options(self, node: str) -> PublisherOptions:
        """Return the bus's options for a publisher of `node`."""
        return PublisherOptions(
            node=node,
            tier=self._tier,
            latched=self._latched,
            is_reliable=self._is_reliable,
            lifetime_s=self._lifetime_s,
        )

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

    @overload
    def __get__(self, node: None, owner: type) -> output[M]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> Output[M]: ...
    def __get__(self, node: Node | None, owner: type) -> output[M] | Output[M]:
        if node is None:
            return self
        if self.attribute not in node.outputs:
            raise ConfigError(_too_late(type(node), self.attribute or self.topic))
        found: Output[M] = node.outputs[self.attribute]
        return found


@dataclass(frozen=True, slots=True)
class SubscribeMark:
    """A method that takes the messages of a topic."""

    topic: str
    qos: QoS
    keep_expired: bool
    is_optional: bool


@dataclass(frozen=True, slots=True)
class TimerMark:
    """A method that is called again and again."""

    period_s: float | None
    hz: str | None


@dataclass(frozen=True, slots=True)
class ServiceMark:
    """A method that answers questions."""

    name: str
    at_once: str = ""
    """Name of the method that is asked first where an answer needs no waiting."""


Mark = SubscribeMark | TimerMark | ServiceMark


def subscribe(
    topic: str, *, qos: QoS | None = None, keep_expired: bool = False, is_optional: bool = False
) -> Callable[[F], F]:
    """Have a method called with each message of a topic; its annotation says the type.

    Args:
        topic: Relative name; `/name` for one outside the namespace.
        qos: What happens when messages come faster than they are handled; default: keep the newest.
        keep_expired: Deliver messages past their `expires` too.
        is_optional: The node does well without it: `olympus check` says nothing when nobody
            publishes it.
    """
    return _mark(SubscribeMark(topic, qos or QoS.latest(), keep_expired, is_optional))


def timer(period_s: float | None = None, *, hz: str | None = None) -> Callable[[F], F]:
    """Have a method called again and again while the node is active.

    Args:
        period_s: Every so many seconds; or
        hz: so many times a second, by the parameter of this name, also when it changes.

    Raises:
        ConfigError: Neither or both are given, the period is not positive, or `hz` is no name.
    """
    if hz is not None and not isinstance(hz, str):
        raise ConfigError(f"hz={hz!r}: it names a parameter; a fixed period is timer(seconds)")
    if (period_s is None) == (hz is None):
        raise ConfigError("a timer needs either a period in seconds or hz='name of a parameter'")
    if period_s is not None and period_s <= 0:
        raise ConfigError(f"period_s={period_s}: a timer's period is more than 0")
    return _mark(TimerMark(period_s, hz))


def service(name: str, *, at_once: str = "") -> Callable[[F], F]:
    """Have a method answer questions; its annotations say the types of question and answer.

    Args:
        name: Of the service, relative to the node's.
        at_once: Name of another method that is asked first where a question comes alone: it yields
            the answer, without waiting and without a task of its own, or nothing. What comes after
            the `yield` is done when the answer is on its way.
    """
    return _mark(ServiceMark(name, at_once))


def _mark(mark: Mark) -> Callable[[F], F]:
    def attach(method: F) -> F:
        setattr(method, _MARKS, (*getattr(method, _MARKS, ()), mark))
        return method

    return attach


@dataclass(frozen=True, slots=True)
class Declared:
    """Everything a node class declares."""

    outputs: dict[str, output[Any]] = field(default_factory=dict)
    subscriptions: list[tuple[str, SubscribeMark, type[Message]]] = field(default_factory=list)
    """Method name, mark, type of message."""
    timers: list[tuple[str, TimerMark]] = field(default_factory=list)
    services: list[tuple[str, ServiceMark, type[Message], type[Message]]] = field(
        default_factory=list
    )
    """Method name, mark, types of question and answer."""


def declared_by(cls: type[Any]) -> Declared:
    """Collect what a node class declares, base classes first.

    Raises:
        ConfigError: A handler does not say what type it takes.
    """
    found = Declared()
    for name in dict.fromkeys(n for c in reversed(cls.__mro__) for n in vars(c)):
        member = getattr(cls, name, None)
        if isinstance(member, output):
            found.outputs[name] = member
        for mark in getattr(member, _MARKS, ()):
            _collect(found, cls, name, mark)
    return found


def refuse_late(cls: type[Node]) -> None:
    """Refuse outputs and handlers that were set on a class after it was made.

    Nothing would come of them.

    Raises:
        ConfigError: There is one.
    """
    known = cls.declared
    methods = (*known.subscriptions, *known.timers, *known.services)
    names = {*known.outputs, *(name for name, *_ in methods)}
    for name in dict.fromkeys(n for c in cls.__mro__ for n in vars(c)):
        member = getattr(cls, name, None)
        if name not in names and (isinstance(member, output) or hasattr(member, _MARKS)):
            raise ConfigError(_too_late(cls, name))


def _too_late(cls: type[Any], name: str) -> str:
    return (
        f"{cls.__name__}.{name} was set after the class was made, so it is not declared; write it "
        f"in the class's body, or make a subclass: type('My{cls.__name__}', ({cls.__name__},), "
        "{...})"
    )


def _collect(found: Declared, cls: type[Any], name: str, mark: Mark) -> None:
    match mark:
        case SubscribeMark():
            found.subscriptions.append((name, mark, _type_taken(cls, name)))
        case TimerMark():
            found.timers.append((name, mark))
        case ServiceMark():
            answer = _type_given(cls, name)
            found.services.append((name, mark, _type_taken(cls, name), answer))


def _type_given(cls: type[Any], name: str) -> type[Message]:
    """Return the type of a service's answers; Message, which is any, if the method doesn't say."""
    hint = get_type_hints(getattr(cls, name)).get("return")
    return hint if isinstance(hint, type) and issubclass(hint, Message) else Message


def _type_taken(cls: type[Any], name: str) -> type[Message]:
    hints = get_type_hints(getattr(cls, name))
    hints.pop("return", None)
    for hint in hints.values():
        if isinstance(hint, type) and issubclass(hint, Message):
            return hint
    raise ConfigError(
        f"{cls.__name__}.{name}: annotate its argument with the message type it takes, "
        "such as 'image: Image'"
    )
