"""What an event loop waits with, where what a bus brings is taken in at once.

asyncio asks its selector which descriptors are ready, makes an entry in its queue for each, and
calls it in the next step, in a context of its own: several microseconds a message on a small
computer. Here the selector itself calls the readers of the bus as soon as the kernel reports them,
and it may stay awake for what is due.
"""

from __future__ import annotations

import logging
import math
import os
import select
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeAlias

from olympus.runtime.bus.alertness import NAP_S, Alertness
from olympus.runtime.bus.crowd import Crowd
from olympus.runtime.quick import quick

Act: TypeAlias = Callable[[], object]
Events: TypeAlias = list[tuple[int, int]]
"""Descriptors and their events."""
Look: TypeAlias = Callable[[select.epoll, list[object], float, float], Events]
_log = logging.getLogger(__name__)
_MOST_READY = 256
SOON = 6
"""What is expected within so many times `spin_s` is waited for awake from the beginning: after half
a millisecond of sleep a core has forgotten more than the sleep was worth."""


class HasFileno(Protocol):
    """A socket, for instance."""

    def fileno(self) -> int:
        """Return its descriptor."""


FileLike: TypeAlias = int | HasFileno


class _Registered(Mapping[FileLike, selectors.SelectorKey]):
    """What a selector waits for: asyncio of Python 3.13 looks sockets up here, not in `get_key`."""

    def __init__(self, keys: dict[int, selectors.SelectorKey]) -> None:
        self._keys = keys

    def __getitem__(self, fileobj: FileLike) -> selectors.SelectorKey:
        return self._keys[_descriptor(fileobj)]

    def __iter__(self) -> Iterator[FileLike]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class PromptSelector(selectors.BaseSelector):
    """epoll, with some readers that are called from within `select`."""

    def __init__(self, *, spin_s: float = 0.0) -> None:
        """Make it, with nothing to wait for.

        Args:
            spin_s: How long at most to look again and again, instead of going to sleep, while
                messages follow each other closely, s; see `Alertness`. For what is expected soon it
                may be `SOON` times that.
        """
        self._epoll = select.epoll()
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._prompt: dict[int, Act] = {}
        self.wires: list[object] = []
        """Whose boards say, before the kernel does, that something comes; see quick/awake.c."""
        self.on_crowd: list[Callable[[bool], None]] = []
        """Are told when others begin to want this core, and when they no longer do."""
        self._is_crowded = False
        self.look: Look = look_again if quick is None else quick.events_awake
        self._armed: dict[int, int] = {}
        """What the kernel was told about each descriptor."""
        self.is_alone = False
        """Within a prompt reader: whether nothing else has come that would have its turn after."""
        self._alertness, self._awake_until_s = Alertness(spin_s), 0.0
        self._may_spin = self._alertness.is_possible
        self.spin_s, self.soon_s = spin_s, SOON * spin_s
        self._due_s: tuple[float, float] | None = None
        """From when until when to be awake for something that is expected, on the steady clock."""
        self._soon_until_s = 0.0
        """Until when to be awake from now on, instead."""
        self._soon_since_s = 0.0
        """Since when it is; 0 where it is not."""
        self._crowd = Crowd()
        self._has_slept = True
        """Whether it has let the core go since it was last awake."""
        self._slept_s = 0.0
        """When that was known."""
        self._is_unread = False
        """Whether something may lie in a board; unlike of a socket, nobody tells a second time."""
        self._fed_s: tuple[float, float] | None = None
        """When the bus brought something, and when that was dealt with; not learnt from yet."""
        self.failures = 0
        """How often a reader that `select` called has failed."""

    def register(
        self, fileobj: FileLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        """Wait for events of a descriptor.

        Raises:
            KeyError: It is waited for already.
        """
        descriptor = _descriptor(fileobj)
        if descriptor in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        key = self._keys[descriptor] = selectors.SelectorKey(fileobj, descriptor, events, data)
        self._arm(descriptor)
        return key

    def unregister(self, fileobj: FileLike) -> selectors.SelectorKey:
        """Wait for a descriptor no longer.

        Raises:
            KeyError: It is not waited for.
        """
        key = self.get_key(fileobj)
        del self._keys[key.fd]
        self._arm(key.fd)
        return key

    def modify(self, fileobj: FileLike, events: int, data: object = None) -> selectors.SelectorKey:
        """Wait for other events of a descriptor.

        Raises:
            KeyError: It is not waited for.
        """
        key = self.get_key(fileobj)
        made = self._keys[key.fd] = selectors.SelectorKey(fileobj, key.fd, events, data)
        self._arm(key.fd)
        return made

    def set_prompt(self, descriptor: int, act: Act | None) -> None:
        """Have `act` called from within `select` whenever a descriptor can be read, or has ended.

        With None, no longer. Others may still wait until it can be written.
        """
        if act is None:
            self._prompt.pop(descriptor, None)
        else:
            self._prompt[descriptor] = act
        self._arm(descriptor)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for at most `timeout` seconds, for ever if it is None; see `selectors`."""
        ready, came_s = [], 0.0
        if self._fed_s is not None:
            self._learn(*self._fed_s)
        timeout = timeout and max(timeout, 0)  # below 0 means "for ever" to epoll
        is_unread = self._is_unread and timeout == 0
        if timeout != 0 and (
            self._awake_until_s
            or self._due_s
            or self._soon_until_s
            or self._is_unread
            or self._is_crowded  # also who is awake no more takes that back
        ):
            come = self._events_awake(timeout)
        else:
            self._has_slept |= timeout != 0
            come = self._epoll.poll(timeout, _MOST_READY)
        self.is_alone = timeout != 0 and len(come) == 1  # 0: asyncio has callbacks at hand
        self._is_unread = True  # until all is dealt with
        for descriptor, events in come:
            act = self._prompt.get(descriptor)
            if act is not None and events != select.EPOLLOUT:
                came_s = came_s or time.monotonic()
                try:
                    act()
                except Exception as error:  # noqa: BLE001  as asyncio does with its callbacks
                    is_unread = True
                    self.failures += 1
                    _log.error(
                        "taking in what came failed, no. %d: %r",
                        self.failures,
                        error,
                        exc_info=error,
                    )
            key = self._keys.get(descriptor)
            if key is not None and (selected := _selected(events) & key.events):
                ready.append((key, selected))
        self.is_alone, self._is_unread = False, is_unread
        if came_s and self._may_spin:
            self._fed_s = came_s, time.monotonic()
            self._due_s, self._soon_until_s = None, 0.0
        return ready

    def expect(self, from_s: float, until_s: float) -> None:
        """Be awake once for something that is due, or until the bus brings something else.

        Args:
            from_s: Until then it sleeps, on the steady clock, s.
            until_s: From then on it sleeps again.
        """
        if self._may_spin:
            self._due_s = from_s, until_s

    def expect_soon(self, since_s: float) -> None:
        """Be awake for something until it comes, or for `soon_s` from a time on, s."""
        if self._may_spin:
            self._soon_until_s = since_s + self.soon_s

    def _learn(self, came_s: float, dealt_with_s: float) -> None:
        """Know when something came; not before it is waited again, when nobody waits for this."""
        self._fed_s = None
        if self._soon_since_s:
            self._crowd.spend(came_s - self._soon_since_s)
            self._soon_since_s = 0.0
        self._alertness.come(came_s)
        self._awake_until_s = self._alertness.until(dealt_with_s)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._epoll.close()
        self._keys.clear()
        self._prompt.clear()
        self._armed.clear()

    def get_key(self, fileobj: FileLike) -> selectors.SelectorKey:
        """Return what was registered for a descriptor.

        Raises:
            KeyError: Nothing.
        """
        return self._keys[_descriptor(fileobj)]

    def get_map(self) -> Mapping[FileLike, selectors.SelectorKey]:
        """Return all that is registered, as it changes; sockets are looked up by descriptor."""
        return _Registered(self._keys)

    def _arm(self, descriptor: int) -> None:
        key, known = self._keys.get(descriptor), self._armed.get(descriptor, 0)
        mask = _mask(key.events) if key is not None else 0
        if descriptor in self._prompt:
            mask |= select.EPOLLIN
        if mask == known:
            return
        try:
            if not known:
                self._epoll.register(descriptor, mask)
            elif mask:
                self._epoll.modify(descriptor, mask)
            else:
                self._epoll.unregister(descriptor)
        except OSError:
            if mask:
                raise
            # It was closed before, and so the kernel has forgotten it already.
        self._armed[descriptor] = mask
        if not mask:
            del self._armed[descriptor]

    def _events_awake(self, timeout: float | None) -> Events:
        """Wait as `epoll` does, at first or for a while by looking again and again."""
        now_s = time.monotonic()
        end_s = math.inf if timeout is None else now_s + timeout
        for from_s, until_s in self._spells(now_s):
            if now_s < (until_s := min(until_s, end_s)) or self._is_unread:
                self._has_slept |= from_s > now_s
                self._is_unread = True
                events = self.look(self._epoll, self.wires, until_s, min(from_s, until_s))
                if events:
                    return events
                now_s, self._is_unread = time.monotonic(), False
        if self._soon_since_s:
            self._crowd.spend(now_s - self._soon_since_s)
            self._soon_since_s = 0.0
        if now_s >= self._awake_until_s:
            self._awake_until_s = 0.0
        if self._due_s is not None and now_s >= self._due_s[1]:
            self._due_s = None
        if now_s >= self._soon_until_s:
            self._soon_until_s = 0.0
        self._has_slept = True
        return self._epoll.poll(None if timeout is None else max(0, end_s - now_s), _MOST_READY)

    def _spells(self, now_s: float) -> Iterator[tuple[float, float]]:
        """Yield from when until when to be awake, s; before each it sleeps."""
        if self._is_unread:
            yield now_s, now_s
        has_slept, self._has_slept = self._has_slept, False
        if has_slept:
            self._slept_s = now_s
            self._crowd.slept()
        if (is_crowded := self._crowd.is_there(now_s)) is not self._is_crowded:
            self._is_crowded = is_crowded
            for tell in self.on_crowd:
                tell(is_crowded)
        yield now_s, self._awake_until_s
        if self._has_time_for_long(now_s):
            self._soon_since_s = now_s
            yield now_s, self._soon_until_s
        elif self._due_s is not None:
            yield self._due_s

    def _has_time_for_long(self, now_s: float) -> bool:
        """Tell whether something comes soon, and may be waited for awake for so long."""
        if now_s >= self._soon_until_s or now_s - self._slept_s >= NAP_S:
            return False
        return not self._is_crowded and self._crowd.has_share(now_s)


def look_again(epoll: select.epoll, wires: object, until_s: float, from_s: float = 0.0) -> Events:
    """Ask again and again, until something has come or the time is up.

    Args:
        epoll: What to ask.
        wires: Of no use here.
        until_s: Until when, on the steady clock, s.
        from_s: Until then it sleeps, unless something comes.
    """
    if (left_s := from_s - time.monotonic()) > 0:
        select.select([epoll], [], [], left_s)  # epoll's own time-outs are whole milliseconds
    while not (events := epoll.poll(0, _MOST_READY)):
        os.sched_yield()  # whoever waits for this core may be the one who is to answer
        if time.monotonic() >= until_s:
            break
    return events


def _descriptor(fileobj: FileLike) -> int:
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()


def _mask(events: int) -> int:
    is_read, is_written = events & selectors.EVENT_READ, events & selectors.EVENT_WRITE
    return (select.EPOLLIN if is_read else 0) | (select.EPOLLOUT if is_written else 0)


def _selected(events: int) -> int:
    is_read, is_written = events & ~select.EPOLLOUT, events & ~select.EPOLLIN
    read = selectors.EVENT_READ if is_read else 0
    return read | (selectors.EVENT_WRITE if is_written else 0)
