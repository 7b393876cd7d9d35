"""A recorder's life as store_kills.py ends it: what it publishes, and what it notes meanwhile."""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from olympus.nodes.acknowledging import Waiting as WaitingMark
from olympus.nodes.recorder import Recorder
from olympus.nodes.recording import Waiting
from olympus.runtime.bus import Publisher, PublisherOptions
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.messages import Image, Message, Reading
from olympus.runtime.node.testing import running

SMALL, PICTURE = "rover/reading", "rover/image"
FLUSH_HZ = 20.0
SIDE_PX = 128
_RING = 2**16
_HEAD = struct.Struct("<8q")
_AT = {"small": 0, "picture": 1, "recorded": 2, "flush": 3, "commit_ns": 4, "end": 5}


class Slate:
    """Memory that a recorder shares with who will kill it."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _HEAD.size + 2 * 8 * _RING)
        self._numbers = memoryview(self._map)[: _HEAD.size].cast("q")
        self._times = memoryview(self._map)[_HEAD.size :].cast("q")

    def __getitem__(self, name: str) -> int:
        return self._numbers[_AT[name]]

    def __setitem__(self, name: str, value: int) -> None:
        self._numbers[_AT[name]] = value

    def publish(self, which: str, seq: int) -> None:
        """Note that a message is published now."""
        self._times[_AT[which] * _RING + seq % _RING] = time.monotonic_ns()
        self[which] = seq

    def published_at(self, which: str, seq: int) -> int:
        """Return when, CLOCK_MONOTONIC in ns."""
        return self._times[_AT[which] * _RING + seq % _RING]


class Watched(Recorder):
    """A recorder that notes when it commits."""

    slate: Slate

    async def _write(self, batch: list[Waiting], acknowledged: list[WaitingMark]) -> None:
        began = time.monotonic_ns()
        await super()._write(batch, acknowledged)
        self.slate["flush"] = began
        self.slate["commit_ns"] = max(self.slate["commit_ns"], time.monotonic_ns() - began)
        self.slate["recorded"] = self.recorded


async def record(folder: Path, slate: Slate, session: Session) -> None:
    """Publish and record until killed, or until the slate says that it is enough."""
    logging.disable(logging.WARNING)
    Watched.slate = slate
    params = {"path": str(folder), "topics": ["rover/*"], "flush_hz": FLUSH_HZ, "max_mb": 4096}
    clock = SystemClock(session.clock_offset_ns)
    async with running(Watched, params=params, session=session, clock=clock) as bench:
        ends: dict[str, Publisher[Any]] = {
            "small": bench.bus.publisher(SMALL, Reading, PublisherOptions(node="small")),
            "picture": bench.bus.publisher(PICTURE, Image, PublisherOptions(node="picture")),
        }
        for name, end in ends.items():
            end._seq = slate[name]  # publishers outlive a recorder and go on counting
        turn = 0
        while not slate["end"]:
            turn += 1
            for name in ("small", "small", *(["picture"] if turn % 10 == 0 else [])):
                seq = slate[name] + 1
                slate.publish(name, seq)
                ends[name].publish(message_of(name, seq))
            await asyncio.sleep(0.001)
        # what is published is recorded before the end: the end of a recording is an orderly one


def message_of(name: str, seq: int) -> Message:
    """Return the message of a number; what it says can be told from that."""
    if name == "small":
        return Reading(name="n", value=float(seq), unit="1", text=f"no. {seq}")
    return Image(data=np.full((SIDE_PX, SIDE_PX, 3), seq % 251, np.uint8))


def is_right(name: str, seq: int, message: Message) -> bool:
    """Tell whether a message says what its number says it must."""
    if name == "small":
        return isinstance(message, Reading) and message.value == seq
    return isinstance(message, Image) and bool((message.data == seq % 251).all())


def forked(work: Callable[[], None]) -> int:
    """Do something in a process of its own; return its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        work()
        code = 0
    finally:
        os._exit(code)
