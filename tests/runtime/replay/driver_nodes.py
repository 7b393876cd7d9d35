"""A driver whose class does not say that it is one, one that hides it, and who listens to them."""

from __future__ import annotations

import _thread
import asyncio
import os
import threading

from olympus.runtime.messages import Text
from olympus.runtime.node import Field, Node, NodeParams, output, subscribe, timer


class Lidar(Node):
    """Reads a serial port, and greets it first."""

    class Params(NodeParams):
        port: str = Field("", description="Its serial port.")

    params: Params
    scan = output("scan", Text)

    async def on_activate(self) -> None:
        self._port = await asyncio.to_thread(os.open, self.params.port, os.O_RDWR | os.O_NOCTTY)
        os.write(self._port, b"hello\n")
        self.spawn(self._read(), name="read")

    async def _read(self) -> None:
        while True:
            line = await asyncio.to_thread(os.read, self._port, 100)
            self.scan.publish(Text(text=line.decode()))


class Sonar(Lidar):
    """Reads a serial port too, in a way that no source tells."""

    is_replayed = True

    async def on_activate(self) -> None:
        self.log.info("on the way")
        await super().on_activate()


class Echo(Node):
    """Reads a serial port on a thread of its own, in a way that no source tells."""

    class Params(NodeParams):
        port: str = Field("", description="Its serial port.")

    params: Params
    echo = output("echo", Text)

    async def on_activate(self) -> None:
        self._loop, self._has_tried = asyncio.get_running_loop(), threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        self._has_tried.wait(30)

    def _read(self) -> None:
        try:
            port = getattr(os, "op" + "en")(self.params.port, os.O_RDWR | os.O_NOCTTY)
        finally:
            self._has_tried.set()
        os.write(port, b"hello\n")
        while line := os.read(port, 100):
            self._loop.call_soon_threadsafe(self.echo.publish, Text(text=line.decode()))


class Ghost(Node):
    """Says all it ever says, and reaches for a serial port on a thread that Python knows not of."""

    class Params(NodeParams):
        port: str = Field("", description="Its serial port.")

    params: Params
    word = output("word", Text)

    async def on_activate(self) -> None:
        has_tried = threading.Event()
        _thread.start_new_thread(self._reach, (has_tried,))
        has_tried.wait(30)

    def _reach(self, has_tried: threading.Event) -> None:
        try:
            os.close(getattr(os, "op" + "en")(self.params.port, os.O_RDWR | os.O_NOCTTY))
        finally:
            has_tried.set()

    @timer(0.05)
    def on_tick(self) -> None:
        self.word.publish(Text(text="boo"))


class Mapper(Node):
    """Makes something of it."""

    class Params(NodeParams):
        gain: int = Field(1, description="How often it says so.")

    params: Params
    map = output("map", Text)

    @subscribe("scan")
    def on_scan(self, scan: Text) -> None:
        self.map.publish(Text(text=scan.text * self.params.gain), cause=scan)


class Idler(Node):
    """Publishes something of its own, not out of anything that a journal tells."""

    word = output("word", Text)

    async def on_activate(self) -> None:
        if LIVE:
            self.spawn(self._talk(), name="talk")

    async def _talk(self) -> None:
        for number in range(1000):
            self.word.publish(Text(text=str(number)))
            await asyncio.sleep(0.05)


LIVE = True
"""A test that changes it plays surroundings that differ."""
