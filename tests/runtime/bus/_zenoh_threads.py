"""Counts how often a thread of Zenoh is new to Python: `python _zenoh_threads.py kept|left`."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.bus.zenoh_threads import keep_thread

COUNT = 50


def threads_met(before: Callable[[], None]) -> tuple[int, int]:
    """Return how many threads called a handler, and how often one was new to Python."""
    local, idents, new = threading.local(), set[int](), list[int]()
    came = 0

    def take(_sample: zenoh.Sample) -> None:
        nonlocal came
        before()
        idents.add(threading.get_native_id())
        if not hasattr(local, "was_here"):
            local.was_here = True
            new.append(1)
        came += 1

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp/127.0.0.1:{probe.getsockname()[1]}"
    with (
        open_session("router", listen=[endpoint]) as one,
        open_session("client", connect=[endpoint]) as other,
    ):
        one.declare_subscriber("a/b", Callback(take, indirect=False))
        publisher = other.declare_publisher("a/b")
        deadline = time.monotonic() + 20
        while came < COUNT and time.monotonic() < deadline:
            publisher.put(b"x")
            time.sleep(0.002)
    assert came >= COUNT
    return len(idents), len(new)


if __name__ == "__main__":
    threads, new = threads_met(keep_thread if sys.argv[1] == "kept" else lambda: None)
    sys.stdout.write(f"{threads} {new}")
