"""Keeps a blocking device busy in a thread of its own, for a node that lives in an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from olympus.drivers.backoff import Backoff
from olympus.drivers.base import Device
from olympus.runtime.errors import ConfigError, DeviceError, EndOfStream, StallError

D = TypeVar("D", bound=Device)
T = TypeVar("T")
_LEAVE_S = 2.0
"""How long the end of the loop waits for a device that hangs; its thread then ends by itself."""


class DeviceState(StrEnum):
    """How the device is; the words are levels of a Diagnostic."""

    OK = "ok"
    """It delivers."""
    STALE = "stale"
    """It is there but gives nothing, or its recording is over."""
    ERROR = "error"
    """It is missing or failed."""


@dataclass(slots=True)
class DeviceCounts:
    """What happened since the loop began."""

    delivered: int = 0
    """Items handed to the node."""
    superseded: int = 0
    """Items dropped because the node was too slow for them."""
    opened: int = 0
    failures: int = 0
    """Failures of any kind, those to open it included."""
    stalls: int = 0


class DeviceLoop(Generic[D, T]):
    """Opens a device, reads it, and opens it again with back-off when it fails.

    `await run()` in a task; cancel the task to end it. The thread alone touches the device. Items
    reach `deliver` in the event loop; when that is busy, `depth` of the newest wait.
    """

    def __init__(
        self,
        device: D,
        *,
        read: Callable[[D], T],
        deliver: Callable[[T], None],
        on_change: Callable[[DeviceState, str], None],
        backoff: Backoff,
        depth: int = 1,
    ) -> None:
        """Plan the loop.

        Args:
            device: Closed.
            read: Reads one item; runs in the thread.
            deliver: Takes one item; runs in the event loop.
            on_change: Told the state and why, at each change and failed try; runs in the event
                loop.
            backoff: Waits between tries.
            depth: Items that wait for a busy event loop; 1 = the latest wins.
        """
        self.counts = DeviceCounts()
        self._device = device
        self._read, self._deliver, self._on_change = read, deliver, on_change
        self._backoff = backoff
        self._waiting: deque[T] = deque(maxlen=depth)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_over = False
        self._thread: threading.Thread | None = None

    @property
    def device(self) -> D:
        """The device of now."""
        return self._device

    def swap(self, device: D) -> None:
        """Go on with another device, closed as yet."""
        self._device = device
        self._backoff.reset()
        self._wake.set()

    async def run(self) -> None:
        """Keep the device busy until this task is cancelled.

        An error that is no DeviceError is a bug: it ends the loop and leaves this function, as a
        RuntimeError where it is one that would end more than that.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        while self._thread is not None and self._thread.is_alive():
            # The last run left a device that hung: two threads must not touch it.
            await asyncio.to_thread(self._thread.join, _LEAVE_S)
        self._is_over = False
        thread = threading.Thread(target=self._work, args=(loop, ended), name="device", daemon=True)
        self._thread = thread
        thread.start()
        try:
            await ended
        finally:
            self._is_over = True
            self._wake.set()
            await asyncio.to_thread(thread.join, _LEAVE_S)

    def _work(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
        # A loop that is closed does not listen any more, and nobody waits for the news.
        with suppress(RuntimeError):
            try:
                while not self._is_over:
                    self._serve(loop, self._device)
            except BaseException as error:  # noqa: BLE001  handed on to whoever awaits `run`
                loop.call_soon_threadsafe(_fail, ended, error)

    def _serve(self, loop: asyncio.AbstractEventLoop, device: D) -> None:
        """Use one device until it fails, is swapped, or the loop is over."""
        self._wake.clear()
        wait_s: float | None = None
        try:
            device.open()
            self.counts.opened += 1
            self._read_on(loop, device)
        except EndOfStream as error:
            self._tell(loop, DeviceState.STALE, str(error))
        except (DeviceError, ConfigError) as error:
            wait_s = self._note_failure(loop, error)
        else:
            return
        finally:
            device.close()
        if not self._is_over and self._device is device:
            self._wake.wait(wait_s)

    def _read_on(self, loop: asyncio.AbstractEventLoop, device: D) -> None:
        is_new = True
        while not self._is_over and self._device is device:
            item = self._read(device)
            if is_new:
                self._backoff.reset()
                self._tell(loop, DeviceState.OK, "delivers")
                is_new = False
            self._hand(loop, item)

    def _note_failure(self, loop: asyncio.AbstractEventLoop, error: Exception) -> float:
        self.counts.failures += 1
        is_stall = isinstance(error, StallError)
        self.counts.stalls += is_stall
        wait_s = self._backoff.next_s()
        state = DeviceState.STALE if is_stall else DeviceState.ERROR
        self._tell(loop, state, f"{error}; next try in {wait_s:g} s")
        return wait_s

    def _hand(self, loop: asyncio.AbstractEventLoop, item: T) -> None:
        with self._lock:
            is_first = not self._waiting
            if len(self._waiting) == self._waiting.maxlen:
                self.counts.superseded += 1
            self._waiting.append(item)
        if is_first and not self._is_over:
            loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        with self._lock:
            items = list(self._waiting)
            self._waiting.clear()
        for item in items:
            self.counts.delivered += 1
            self._deliver(item)

    def _tell(self, loop: asyncio.AbstractEventLoop, state: DeviceState, text: str) -> None:
        if not self._is_over:
            loop.call_soon_threadsafe(self._on_change, state, text)


def _fail(ended: asyncio.Future[None], error: BaseException) -> None:
    if ended.done():
        return
    if isinstance(error, (StopIteration, SystemExit, KeyboardInterrupt)):
        # No future can carry the first, and the others would end the whole host.
        told = RuntimeError(f"the device's thread ended: {error!r}")
        told.__cause__ = error
        error = told
    ended.set_exception(error)
