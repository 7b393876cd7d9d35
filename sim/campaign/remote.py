"""A commander on another machine: speaks to the robot over Zenoh alone, and says no goodbye.

    python -m olympus.sim.campaign.remote ENDPOINT TOPIC CLOCK_OFFSET_NS

It prints a line once it has a session. On standard input it takes `on` and `off`.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence

from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.messages import Header, Twist, encode
from olympus.sim.campaign.victims import RATE_HZ, SPEED_MPS


def main(arguments: Sequence[str]) -> int:
    """Command at a steady rate while told to, until standard input ends.

    Args:
        arguments: The robot's endpoint, the topic, and robot time minus CLOCK_MONOTONIC.
    """
    endpoint, topic, offset_ns = arguments[0], arguments[1], int(arguments[2])
    session = open_session("client", connect=[endpoint])
    publisher = session.declare_publisher(topic)
    os.write(1, b"ready\n")
    is_on, seq, due = False, 0, time.monotonic()
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))
        if readable:
            words = os.read(sys.stdin.fileno(), 256).decode().split()
            if not words:
                return 0
            is_on = words[-1] == "on"
        elif is_on:
            seq += 1
            header = Header(seq=seq, stamp=time.monotonic_ns() + offset_ns, source="remote")
            publisher.put(encode(Twist(header=header, linear_mps=SPEED_MPS, angular_radps=0.0)))
        due = max(due + 1 / RATE_HZ, time.monotonic()) if not readable else due


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
