"""iceoryx2 with events: the receiver sleeps until it is notified, as a robot's process should.

iceoryx2_peer.py near|far FOLDER
"""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from typing import Any

import iceoryx2 as iox2
import numpy as np
from _bus_trials import END, FRAME, QUIET, Frame, carry_out, marked
from numpy.typing import NDArray

BUFFER = 64
"""Samples that wait for a reader; then the oldest gives way."""
STEP = iox2.Duration.from_millis(200)
PATIENCE_S = 30.0


class Row:
    """A topic of bytes and the event that goes with it."""

    def __init__(self, node: Any, name: str) -> None:
        self.bytes = (
            node.service_builder(iox2.ServiceName.new(name))
            .publish_subscribe(iox2.Slice[ctypes.c_uint8])
            .subscriber_max_buffer_size(BUFFER)
            .open_or_create()
        )
        self.event = node.service_builder(iox2.ServiceName.new(name)).event().open_or_create()


def seen(payload: Any) -> NDArray[np.uint8]:
    return np.frombuffer(payload.as_memory_view(), np.uint8)


class Writer:
    def __init__(self, row: Row, nbytes: int) -> None:
        self._publisher = row.bytes.publisher_builder().initial_max_slice_len(nbytes).create()
        self._notifier = row.event.notifier_builder().create()

    def write(self, frame: Frame, is_copied: bool) -> None:
        sample = self._publisher.loan_slice_uninit(len(frame))
        there = seen(sample.payload())
        if is_copied:
            np.copyto(there, frame)
        else:
            marked(there, frame)
        sample.assume_init().send()
        self._notifier.notify()


class Reader:
    def __init__(self, row: Row) -> None:
        self._subscriber = row.bytes.subscriber_builder().buffer_size(BUFFER).create()
        self._listener = row.event.listener_builder().create()

    def read(self) -> Any:
        """Return the next sample; wait for it."""
        until = time.monotonic() + PATIENCE_S
        while True:
            sample = self._subscriber.receive()
            if sample is not None:
                return sample
            if time.monotonic() > until:
                raise TimeoutError("no sample came")
            self._listener.timed_wait(STEP)


class Near:
    def __init__(self, node: Any, name: str) -> None:
        self._writer = Writer(Row(node, f"{name}/blob"), FRAME)
        self._reader = Reader(Row(node, f"{name}/echo"))
        self.send = self._writer.write

    def answer(self) -> int:
        return int.from_bytes(bytes(seen(self._reader.read().payload())), "little")


def answer_for_ever(node: Any, name: str) -> None:
    reader = Reader(Row(node, f"{name}/blob"))
    writer = Writer(Row(node, f"{name}/echo"), 8)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    count = 0
    while True:
        sample = reader.read()
        frame = seen(sample.payload())
        count += 1 + int(frame[-1])
        if frame[0] != QUIET:
            writer.write(np.frombuffer(count.to_bytes(8, "little"), np.uint8), True)
        if frame[0] == END:
            time.sleep(0.2)
            return


def main() -> None:
    iox2.set_log_level(iox2.LogLevel.Error)
    role, folder = sys.argv[1:3]
    name = f"olympus/bench/{Path(folder).name}"
    node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
    if role == "far":
        answer_for_ever(node, name)
        return
    near = Near(node, name)
    time.sleep(0.5)
    carry_out(near, Path(folder))


if __name__ == "__main__":
    main()
