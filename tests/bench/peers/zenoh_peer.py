"""Bare zenoh-python: two peers of one unix socket, each answering from its callback.

zenoh_peer.py near|far FOLDER plain|shm
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import zenoh
from _bus_trials import END, FRAME, QUIET, Frame, carry_out

POOL = 64 * 2**20


def opened(endpoint: str, is_listening: bool, has_memory: bool) -> zenoh.Session:
    config = zenoh.Config()
    settings: dict[str, Any] = {
        "mode": "peer",
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "open/return_conditions": {"connect_scouted": False, "declares": False},
        "listen/endpoints": [endpoint] if is_listening else [],
        "connect/endpoints": [] if is_listening else [endpoint],
        "transport/shared_memory/enabled": has_memory,
    }
    if has_memory:
        settings["transport/shared_memory/mode"] = "init"
        # Only what is allocated explicitly goes through shared memory: small answers do not.
        settings["transport/shared_memory/transport_optimization/enabled"] = False
    for path, value in settings.items():
        config.insert_json5(path, json.dumps(value))
    return zenoh.open(config)


def publisher(session: zenoh.Session, key: str) -> zenoh.Publisher:
    return session.declare_publisher(
        key,
        express=True,
        congestion_control=zenoh.CongestionControl.BLOCK,
        priority=zenoh.Priority.REAL_TIME,
    )


def taken(sample: zenoh.Sample) -> Frame:
    shared = sample.payload.as_shm()
    data = bytes(shared) if shared is not None else sample.payload.to_bytes()
    return np.frombuffer(data, np.uint8)


class Near:
    def __init__(self, session: zenoh.Session, has_memory: bool) -> None:
        self._answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._publisher = publisher(session, "bench/blob")
        self._subscriber = session.declare_subscriber("bench/echo", self._on_echo)
        self._frame = bytearray(0)
        self._memory: Any = None
        if has_memory:
            self._memory = zenoh.shm.ShmProvider.default_backend(POOL)
            self._policy = zenoh.shm.BlockOn(zenoh.shm.GarbageCollect())

    def send(self, frame: Frame, is_copied: bool) -> None:
        if len(self._frame) != len(frame):
            self._frame = bytearray(frame)
        self._frame[0], self._frame[-1] = int(frame[0]), int(frame[-1])
        if self._memory is None:
            self._publisher.put(zenoh.ZBytes(self._frame))
            return
        there = self._memory.alloc(len(frame), self._policy)
        if is_copied:
            there[0 : len(frame)] = self._frame
        else:
            there[0:1], there[len(frame) - 1 : len(frame)] = self._frame[:1], self._frame[-1:]
        self._publisher.put(there)

    def answer(self) -> int:
        return self._answers.get(timeout=30.0)

    def _on_echo(self, sample: zenoh.Sample) -> None:
        self._answers.put(int.from_bytes(sample.payload.to_bytes(), "little"))


def answer_for_ever(session: zenoh.Session) -> None:
    answers, count = publisher(session, "bench/echo"), 0
    over = threading.Event()

    def on_blob(sample: zenoh.Sample) -> None:
        nonlocal count
        frame = taken(sample)
        count += 1 + int(frame[-1])
        if frame[0] != QUIET:
            answers.put(count.to_bytes(8, "little"))
        if frame[0] == END:
            over.set()

    session.declare_subscriber("bench/blob", on_blob)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    over.wait()
    time.sleep(0.2)


def main() -> None:
    role, folder, way = sys.argv[1:4]
    session = opened(f"unixsock-stream/{folder}/zenoh", role == "far", way == "shm")
    if role == "far":
        answer_for_ever(session)
    else:
        near = Near(session, way == "shm")
        time.sleep(0.5)
        near.send(np.zeros(FRAME, np.uint8), True)
        near.answer()
        carry_out(near, Path(folder))
    session.close()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
