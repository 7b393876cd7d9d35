"""Takes one node through its lifecycle and connects what it declares."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

from olympus.runtime.bus import Bus, Service, Subscription, SubscriptionOptions
from olympus.runtime.bus.handling import call_handler, is_ending
from olympus.runtime.bus.spill import Spill
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import LifecycleError, OlympusError, ParamError
from olympus.runtime.messages import Message, NodeStats, encode
from olympus.runtime.node.controls import Controls
from olympus.runtime.node.declare import SubscribeMark, TimerMark, refuse_late
from olympus.runtime.node.journal import CLOSED, QUIET, Ending, JournalKeeper, pack_error
from olympus.runtime.node.lifecycle import State, Transition, after
from olympus.runtime.node.node import Node
from olympus.runtime.node.params import changed_params
from olympus.runtime.qos import Overflow

SpillFor = Callable[[str, str], Spill[bytes]]
"""Makes the overflow store of a lossless subscription: (node, topic) -> spill."""
_AGAIN_NS = 5 * NS_PER_S
"""So long an error that goes on is not told again."""


class NodeRunner:
    """One node in a host."""

    def __init__(
        self,
        node: Node,
        uses: str,
        *,
        spill_for: SpillFor | None = None,
        journal: JournalKeeper | None = None,
    ) -> None:
        """Take charge of a node that is not configured yet; nothing happens before `change`.

        Args:
            node: The node.
            uses: Where its class came from, for others to see.
            spill_for: Where lossless subscriptions spill to; None = they keep all in memory.
            journal: Is told what comes to the node, before it comes.

        Raises:
            ConfigError: An output or handler was set on its class after that was made.
        """
        refuse_late(type(node))
        self.node, self.uses = node, uses
        self.state = State.UNCONFIGURED
        self._bus: Bus = node.bus
        self._spill_for, self._journal = spill_for, journal
        self._subscriptions: list[Subscription[Any]] = []
        self._services: list[Service] = []
        self._controls: Controls | None = None
        self._told: dict[str, tuple[str, int]] = {}
        self._changing, self._setting = asyncio.Lock(), asyncio.Lock()
        self._steps: dict[Transition, Callable[[], Awaitable[None]]] = {
            Transition.CONFIGURE: self._configure,
            Transition.ACTIVATE: self._activate,
            Transition.DEACTIVATE: self._deactivate,
            Transition.CLEANUP: self._cleanup,
            Transition.SHUTDOWN: self._shutdown,
        }

    def open_controls(self) -> None:
        """Make the node visible, and its parameters and lifecycle reachable from outside."""
        self._controls = Controls(
            self.node, self.uses, change=self.change, set_params=self.set_params_when_ready
        )

    async def change(self, transition: Transition) -> State:
        """Make a lifecycle transition, after those that are under way.

        On the way up, a hook that fails leaves the node as it was; on the way down, the transition
        is made all the same.

        Returns:
            The new state.

        Raises:
            LifecycleError: The transition does not exist in this state.
            OlympusError: The node's hook failed; LifecycleError for errors that are not ours.
        """
        async with self._changing:
            target = after(self.state, transition)
            self._note(transition)
            await self._steps[transition]()
            self.state = target
        self.node.log.debug(f"{transition}d: now {target}")
        return target

    async def set_params_when_ready(self, values: dict[str, Any]) -> set[str]:
        """Change parameters, all or none, once the node is prepared for them; one after the other.

        Returns:
            The names of those that changed.

        Raises:
            ParamError: A value is refused; all old values are kept.
        """
        async with self._setting:
            node = self.node
            params, changed = changed_params(node.params, values, node.name)
            if changed:
                await node.prepare_params(params, changed)
            return self.set_params(values)

    def set_params(self, values: dict[str, Any]) -> set[str]:
        """Change parameters at once, all or none.

        Returns:
            The names of those that changed.

        Raises:
            ParamError: A value is refused; all old values are kept.
        """
        node = self.node
        if self._journal is not None:
            self._journal.set(values)
        old = node.params
        node.params, changed = changed_params(old, values, node.name)
        try:
            if changed:
                node.on_params(changed)
        except ParamError:
            node.params = old
            raise
        return changed

    def stats(self) -> NodeStats:
        """Return how the node is."""
        return NodeStats(
            name=self.node.name, uses=self.uses, state=self.state.value, errors=self.node.errors
        )

    async def _configure(self) -> None:
        node = self.node
        try:
            for attribute, mark in node.declared.outputs.items():
                end = node.outputs[attribute]
                end.bind(self._bus.publisher(end.topic, mark.cls, mark.options(node.name)))
            for method, service, request, answer in node.declared.services:
                name, handler = f"{node.name}/{service.name}", self._answering(method)
                is_plain = self._journal is None  # what is written down is answered in one way
                at_once = getattr(node, service.at_once) if service.at_once and is_plain else None
                self._services.append(
                    self._bus.serve(
                        name, request, handler, response=answer, node=node.name, at_once=at_once
                    )
                )
            await self._hook(node.on_configure)
        except BaseException:
            self._withdraw()
            raise

    async def _activate(self) -> None:
        node = self.node
        try:
            for end in node.outputs.values():
                end.is_open = True
            await self._hook(node.on_activate)
            for method, mark, cls in node.declared.subscriptions:
                self._subscriptions.append(self._subscribe(method, mark, cls))
            for method, timing in node.declared.timers:
                task = asyncio.get_running_loop().create_task(self._tick(method, timing))
                node.keep(task, method)
        except BaseException:
            await self._disconnect()
            self._close_outputs()
            raise

    async def _hook(self, hook: Callable[[], Awaitable[None]]) -> None:
        try:
            await call_handler(hook)
        except OlympusError:
            raise
        except Exception as error:
            where = f"{self.node.name}: {hook.__name__}"
            self.node.log.exception(f"{hook.__name__} failed")
            raise LifecycleError(f"{where} failed: {type(error).__name__}: {error}") from error

    def _subscribe(self, method: str, mark: SubscribeMark, cls: type[Message]) -> Subscription[Any]:
        node = self.node
        topic = node.full_topic(mark.topic)
        is_lossless = mark.qos.overflow is Overflow.LOSSLESS and self._spill_for is not None
        options = SubscriptionOptions(
            node=node.name,
            qos=mark.qos,
            on_error=self._on_handler_error,
            keep_expired=mark.keep_expired,
            spill=self._spill_for(node.name, topic) if is_lossless and self._spill_for else None,
        )
        return self._bus.subscribe(topic, cls, self._taking(method), options)

    def _taking(self, method: str) -> Callable[[Any], Any]:
        """Return a handler of messages; with a journal, one that is written down."""
        handler, journal = getattr(self.node, method), self._journal
        if journal is None:
            return cast(Callable[[Any], Any], handler)
        if not inspect.iscoroutinefunction(handler):

            def take(message: Message) -> Any:
                journal.takes(method, message)
                return handler(message)

            return take

        async def take_later(message: Message) -> None:
            journal.takes(method, message)
            await handler(message)

        return take_later

    def _answering(self, method: str) -> Callable[[Any], Any]:
        """Return a service's handler; with a journal, one that is written down."""
        handler, journal = getattr(self.node, method), self._journal
        if journal is None:
            return cast(Callable[[Any], Any], handler)

        async def answer(question: Message) -> Message:
            number = journal.asked(method, question)
            try:
                found: Message = await call_handler(handler, question)
            except asyncio.CancelledError:
                journal.answered(number, Ending.CANCELLED, None)
                raise
            except Exception as error:
                journal.answered(number, Ending.FAILED, pack_error(error))
                raise
            journal.answered(number, Ending.DONE, encode(found))
            return found

        return answer

    async def _deactivate(self) -> None:
        await self._disconnect()
        try:
            await self._hook(self.node.on_deactivate)
        finally:
            self._close_outputs()
            self.state = State.INACTIVE

    async def _cleanup(self) -> None:
        try:
            await self._hook(self.node.on_cleanup)
        finally:
            self._withdraw()
            self.state = State.UNCONFIGURED

    async def _shutdown(self) -> None:
        async with AsyncExitStack() as rest:  # what is left to do, whatever fails before it
            rest.callback(self._close_controls)
            if self.state is not State.UNCONFIGURED:
                rest.push_async_callback(self._cleanup)
            if self.state is State.ACTIVE:
                await self._deactivate()

    async def _disconnect(self) -> None:
        """Hear nothing more, and end what runs beside the handlers."""
        for subscription in self._subscriptions:
            await self._bus.unsubscribe(subscription)
        self._subscriptions.clear()
        self._note(QUIET)
        await self.node.cancel_tasks()

    def _note(self, step: str) -> None:
        if self._journal is not None:
            self._journal.changes(step)

    def _close_outputs(self) -> None:
        self._note(CLOSED)
        for end in self.node.outputs.values():
            end.is_open = False

    def _withdraw(self) -> None:
        """Take back what `_configure` offered."""
        for end in self.node.outputs.values():
            if end.publisher is not None:
                self._bus.withdraw(end.publisher)
            end.bind(None)
        for service in self._services:
            self._bus.withdraw_service(service)
        self._services.clear()

    def _close_controls(self) -> None:
        self.state = State.FINALIZED
        if self._controls is not None:
            self._controls.close()

    async def _tick(self, name: str, timing: TimerMark) -> None:
        """Call a method in time; a period that was missed is skipped, not made up for."""
        node, clock = self.node, self._bus.clock
        method = getattr(node, name)
        next_ns = clock.now_ns()
        while not is_ending():
            period_s = timing.period_s or 1 / max(getattr(node.params, timing.hz or ""), 1e-3)
            next_ns += round(period_s * NS_PER_S)
            now = clock.now_ns()
            if next_ns <= now:
                next_ns = now
            await clock.sleep((next_ns - now) / NS_PER_S)
            if self._journal is not None:
                self._journal.ticks(name)
            try:
                await call_handler(method)
            except Exception as error:  # noqa: BLE001  the node boundary: reported, counted
                self._report(error, name)

    def _on_handler_error(self, error: Exception, message: Message) -> None:
        topic = message.header.trace[-1].topic if message.header.trace else type(message).__name__
        self._report(error, topic)

    def _report(self, error: Exception, where: str) -> None:
        self.node.errors += 1
        text = f"{where}: {type(error).__name__}: {error}"
        if self._told.get(where, ("", 0))[0] == text:
            self._report_again(text, where)
            return
        self._told[where] = (text, self._bus.clock.now_ns())
        if isinstance(error, OlympusError):
            self.node.log.error(text)
        else:
            self.node.log.exception(text)

    def _report_again(self, text: str, where: str) -> None:
        """Tell at most once in a while what goes on: to tell each time would bury all else."""
        now = self._bus.clock.now_ns()
        if now - self._told[where][1] >= _AGAIN_NS:
            self._told[where] = (text, now)
            self.node.log.error(f"{text} (again; {self.node.errors} errors of this node so far)")
