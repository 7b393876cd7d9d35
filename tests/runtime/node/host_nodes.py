"""Nodes that make a host's life hard; run by test_host.py in hosts of their own."""

import asyncio
import contextlib
import threading
import time

from olympus.runtime.node import Node, timer


class Calm(Node):
    """Says in its log that it was shut down."""

    async def on_deactivate(self) -> None:
        self.log.warning("calm and shut down")


class Computes(Node):
    """Computes for 4 ms of every 20."""

    @timer(0.02)
    def on_tick(self) -> None:
        until = time.thread_time() + 0.004
        while time.thread_time() < until:
            pass


class Blocks(Node):
    """Sleeps in a handler, as beginners do."""

    @timer(0.1)
    def on_tick(self) -> None:
        time.sleep(1.5)


class RaisesInConfigure(Node):
    async def on_configure(self) -> None:
        raise ZeroDivisionError("by zero")


class HangsInConfigure(Node):
    async def on_configure(self) -> None:
        await asyncio.Event().wait()


class RaisesInDeactivate(Node):
    async def on_deactivate(self) -> None:
        raise ZeroDivisionError("by zero")


class HangsInDeactivate(Node):
    async def on_deactivate(self) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


class CrashesWithAThreadThatHangs(Node):
    async def on_activate(self) -> None:
        self.spawn(self._crash())

    async def _crash(self) -> None:
        self._thread = threading.Thread(target=threading.Event().wait, name="driver")
        self._thread.start()
        raise ZeroDivisionError("by zero")


class CrashesWhileOthersStart(Node):
    async def on_activate(self) -> None:
        self.spawn(self._crash())

    async def _crash(self) -> None:
        raise ZeroDivisionError("by zero")


class RaisesInItsConstructor(Node):
    def __init__(self, context: object) -> None:
        raise ZeroDivisionError("by zero")
