"""dora: two nodes of one dataflow, which `dora run` starts.

dora_peer.py near|far FOLDER
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from _bus_trials import END, QUIET, Frame, carry_out, marked
from dora import Node


def next_input(node: Any) -> Any:
    """Return the value of the next input; None when the dataflow ends."""
    while (event := node.next()) is not None:
        if event["type"] == "INPUT":
            return event["value"]
        if event["type"] == "STOP":
            return None
    return None


class Near:
    def __init__(self, node: Any) -> None:
        self._node = node

    def send(self, frame: Frame, is_copied: bool) -> None:
        if is_copied:
            self._node.send_output("blob", pyarrow.array(frame))
            return
        with self._node.send_output_raw("blob", len(frame)) as there:
            view = np.frombuffer(there, np.uint8)
            marked(view, frame)
            del view

    def answer(self) -> int:
        value = next_input(self._node)
        if value is None:
            raise SystemExit("the dataflow ended")
        return int(value[0].as_py())


def answer_for_ever(node: Any) -> None:
    count = 0
    while (value := next_input(node)) is not None:
        frame = value.to_numpy()
        count += 1 + int(frame[-1])
        if frame[0] != QUIET:
            node.send_output("echo", pyarrow.array([count]))
        if frame[0] == END:
            return


def main() -> None:
    node = Node()
    if sys.argv[1] == "far":
        answer_for_ever(node)
        return
    near = Near(node)
    time.sleep(1.0)
    carry_out(near, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
