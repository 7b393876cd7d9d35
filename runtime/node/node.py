"""Node: what a user subclasses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, TypeVar, overload

from numpy.typing import NDArray

from olympus.runtime.bus import Bus
from olympus.runtime.bus.topics import resolve
from olympus.runtime.clock import Clock
from olympus.runtime.config import Session
from olympus.runtime.messages import Message, decode, encode
from olympus.runtime.node.declare import Declared, Output, declared_by
from olympus.runtime.node.journal import Halted, NodeJournal, Wait, checksum
from olympus.runtime.node.params import NodeParams, make_params
from olympus.runtime.node.remote_model import (
    Model,
    RemoteModel,
    Tensors,
    pack_answer,
    run_again,
    unpack_answer,
)
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS, Dispatcher, Work
from olympus.runtime.scheduler.ticket import OnNews
from olympus.runtime.scheduler.work import run_through
from olympus.runtime.telemetry.logs import StructuredLog

A = TypeVar("A", bound=Message)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContext:
    """What a node is put into."""

    name: str
    bus: Bus
    clock: Clock
    dispatcher: Dispatcher
    namespace: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    remaps: Mapping[str, str] = field(default_factory=dict)
    session: Session | None = None
    on_crash: Callable[[str, BaseException], None] | None = None
    """Told when a spawned task of the node dies: the node can't go on."""
    journal: NodeJournal | None = None
    """Keeps, or replays, what comes to the node from outside; None for neither."""


class Node:
    """A unit of computation: parameters, handlers, lifecycle.

    Subclass it, declare a `Params` class, outputs with `output(...)`, and handlers with
    `@subscribe`, `@timer` and `@service`. Load models in `on_configure`, move things only between
    `on_activate` and `on_deactivate`. Time comes from `self.clock`, never from the `time` module.
    A subclass that annotates `params: Params` has its parameters type-checked.
    """

    class Params(NodeParams):
        """No parameters."""

    declared: ClassVar[Declared]
    is_replayed: ClassVar[bool] = True
    """Whether a replay runs the node anew. False for what lets the world in, such as devices and
    operators, and for what only watches: their messages come from the recording."""
    takes_journals: ClassVar[bool] = False
    """Whether it is a recorder that the journals of all hosts wait for."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.declared = declared_by(cls)

    @classmethod
    def models_kept(cls, params: Any) -> Sequence[str]:
        """Name the models that a node with these `Params` keeps in its process; here none."""
        return ()

    def __init__(self, context: NodeContext) -> None:
        """Check the parameters; nothing else happens before `on_configure`.

        Raises:
            ParamError: A parameter is unknown or out of its range.
        """
        self.name = f"{context.namespace}/{context.name}" if context.namespace else context.name
        self.bus, self.session = context.bus, context.session
        journal = self._journal = context.journal if self.is_replayed else None
        self.clock: Clock = journal.clock(context.clock) if journal else context.clock
        self.log = StructuredLog(self.name)
        self.params: Any = make_params(self.Params, context.params, self.name)
        self.outputs: dict[str, Output[Any]] = {
            attribute: Output(self.full_topic(mark.topic, context))
            for attribute, mark in self.declared.outputs.items()
        }
        for end in self.outputs.values():
            end.journal = journal
        vars(self).update(self.outputs)  # found without a call, before the class's declarations
        self.errors = 0
        """Handler failures since the start."""
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()

    async def on_configure(self) -> None:
        """Prepare: load models, open files. The base class does nothing."""

    async def on_activate(self) -> None:
        """Start: open devices, spawn loops. The base class does nothing."""

    async def on_deactivate(self) -> None:
        """Stop what `on_activate` started. The base class does nothing."""

    async def on_cleanup(self) -> None:
        """Give back what `on_configure` took. The base class does nothing."""

    async def prepare_params(self, params: Any, changed: set[str]) -> None:
        """Get ready for `params` while the old ones, in `self.params`, still hold: load a model.

        Raise ParamError to refuse them. A replay goes right to `on_params`, which must do without.
        """

    def on_params(self, changed: set[str]) -> None:
        """Take notice of changed parameters, already in `self.params`.

        Raise ParamError to refuse the change; the old values come back then.
        """

    async def infer(
        self,
        model: Model | RemoteModel,
        inputs: Mapping[str, NDArray[Any]],
        *,
        tier: Tier = Tier.NORMAL,
        deadline_ns: int = NEVER_NS,
    ) -> Tensors:
        """Run a model when its turn comes, without holding up the event loop.

        Args:
            model: What to run; a `RemoteModel` runs in a model host.
            inputs: Tensors by name, shapes and dtypes as the model's manifest says.
            tier: Urgency of the job.
            deadline_ns: Robot time after which the result is of no use.

        Returns:
            Tensors by name.

        Raises:
            JobDroppedError: Its deadline passed before its turn, or too many jobs wait.
            ModelError: The model refused the inputs or failed.
            BusError: The model host does not answer.
        """
        if isinstance(model, RemoteModel):
            return await self._ask_host(model, inputs, tier, deadline_ns)
        name = str(getattr(model, "name", ""))
        begin = getattr(model, "begin", None)  # a run that can be aborted, where a model has such
        work: Callable[[], Tensors] = begin(inputs) if begin else partial(model.run, inputs)
        run = partial(self._dispatch, work, tier, deadline_ns, name, self.name, None)
        version = str(getattr(model, "digest", ""))
        again = _whatever(work)
        return await self._wait(Wait("infer", name, run, again, checksum, version=version))

    async def _ask_host(
        self,
        model: RemoteModel,
        inputs: Mapping[str, NDArray[Any]],
        tier: Tier,
        deadline_ns: int,
    ) -> Tensors:
        how: dict[str, Any] = {"tier": tier, "deadline_ns": deadline_ns, "source": self.name}
        how["clock"] = self._context.clock
        if self._journal is None:
            return await model.infer(self.bus, inputs, **how)
        asked, again = partial(model.ask, self.bus, inputs, **how), partial(run_again, inputs)
        told = await self._wait(Wait("infer", model.name, asked, again, pack_answer, unpack_answer))
        model.origin = told.origin
        return dict(told.tensors)

    @property
    def scheduler(self) -> Dispatcher:
        """The scheduler of this node's process."""
        return self._context.dispatcher

    async def compute(
        self,
        work: Work[T],
        *,
        tier: Tier = Tier.NORMAL,
        deadline_ns: int = NEVER_NS,
        what: str = "",
        source: str | None = None,
        on_news: OnNews | None = None,
    ) -> T:
        """Do work when its turn comes: a call, or steps that make way to what is more urgent.

        Args:
            work: What to do, on a worker thread.
            tier: Its urgency.
            deadline_ns: Robot time after which nobody wants the result.
            what: Name of the model.
            source: Who asks; this node when left out.
            on_news: Is told, on the event loop, what stepped work has to tell meanwhile.

        Raises:
            JobDroppedError: It was not done, or not to its end; `end` says why.
        """
        who = self.name if source is None else source
        run = partial(self._dispatch, work, tier, deadline_ns, what, who, on_news)
        again = _whatever(partial(run_through, work))
        return await self._wait(Wait("compute", what, run, again, _nothing))

    async def _dispatch(
        self,
        work: Work[T],
        tier: Tier,
        deadline_ns: int,
        what: str,
        source: str,
        on_news: OnNews | None,
    ) -> T:
        return await self._context.dispatcher.run(
            work, tier=tier, deadline_ns=deadline_ns, source=source, what=what, on_news=on_news
        )

    async def _wait(self, wait: Wait[T]) -> T:
        return await (wait.live() if self._journal is None else self._journal.wait(wait))

    def observe(self, what: str, read: Callable[[], T]) -> T:
        """Look at something outside of the node that is neither a message nor the clock.

        A replay sees the same, and does not look again.

        Args:
            what: Its name.
            read: Looks; what it returns is made of numbers, texts, lists and None.
        """
        return read() if self._journal is None else self._journal.observe(what, read)

    async def act(self, what: str, do: Callable[[], T]) -> T:
        """Do something outside of the node, on a thread; a replay does not do it again.

        Args:
            what: Its name.
            do: Does it; what it returns is made of numbers, texts, lists and None.

        Raises:
            Exception: What `do` raised.
        """
        return await self._wait(Wait("act", what, partial(asyncio.to_thread, do)))

    @overload
    async def call(
        self, service: str, request: Message, answer: None = None, *, timeout_s: float = 2.0
    ) -> Message: ...
    @overload
    async def call(
        self, service: str, request: Message, answer: type[A], *, timeout_s: float = 2.0
    ) -> A: ...
    async def call(
        self,
        service: str,
        request: Message,
        answer: type[Message] | None = None,
        *,
        timeout_s: float = 2.0,
    ) -> Message:
        """Ask a service and return its answer: `ack = await self.call(name, question, Ack)`.

        Args:
            service: Its full name.
            request: The question.
            answer: Type of the answer; None for whatever the service gives.
            timeout_s: How long to wait, s; then, or when this is cancelled, so is the handler.

        Raises:
            BusError: Nobody answers in time.
            ServiceError: The service failed; the error is also of the class that it raised.
            MessageError: The answer is of another type.
        """
        ask = partial(self.bus.call, service, request, answer or Message, timeout_s=timeout_s)
        return await self._wait(Wait("call", service, ask, None, encode, decode))

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str = "") -> asyncio.Task[None]:
        """Run `work` beside the handlers; it is cancelled when the node is deactivated.

        An exception that leaves it is the end of the node: it is reported and the host starts anew.
        """
        begun = work if self._journal is None else self._begun(work, name)
        task = asyncio.get_running_loop().create_task(begun)
        task.add_done_callback(lambda _: work.close())  # it may have ended before it began
        self.keep(task, name)
        return task

    def keep(self, task: asyncio.Task[None], name: str) -> None:
        """Let a task be the node's: it is watched, and cancelled at the deactivation."""
        task.set_name(f"{self.name}:{name}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    async def _begun(self, work: Coroutine[Any, Any, None], name: str) -> None:
        await self._wait(Wait("spawn", name, _at_once, _nothing))
        await work

    def full_topic(self, name: str, context: NodeContext | None = None) -> str:
        """Return the full name of a topic as written in this node.

        Raises:
            ConfigError: It is no topic name.
        """
        context = context or self._context
        return resolve(name, context.namespace, dict(context.remaps))

    async def cancel_tasks(self) -> None:
        """End everything that was spawned, except the task that asks for it."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, Halted):
            return
        self.errors += 1
        self.log.error(f"{task.get_name()} ended: {type(error).__name__}: {error}")
        if self._context.on_crash is not None:
            self._context.on_crash(self.name, error)


def _whatever(work: Callable[[], T]) -> Callable[[Any], T]:
    """Return work that is done anew without a look at what the journal keeps."""
    return lambda _: work()


async def _at_once() -> None:
    return None


def _nothing(_: object) -> None:
    """Of a result that may be anything a replay compares nothing: it computes it anew."""
    return None
