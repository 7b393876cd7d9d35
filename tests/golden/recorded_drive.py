"""A small recording of a drive, made without a robot: what is in it can be said in a sentence.

For a minute a rover drives at 0.5 m/s and takes a picture ten times a second; picture number `n`,
from 1, is of one grey, `n % 200`. After 20 s its mission is `home`, and after 30 s it is stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from olympus.runtime.messages import (
    Battery,
    Command,
    Detection,
    Detections,
    Header,
    Image,
    Message,
    MissionState,
    Odometry,
    Reading,
    SafetyState,
)
from olympus.runtime.store import Run, StreamStore

BEGAN_NS = 1_700_000_000_000_000_000
LENGTH_S = 60


def record(folder: Path, *, early_s: int = 0) -> Path:
    """Write the recording, begun so long before the drive; return its folder."""
    with StreamStore(folder) as store:
        started = BEGAN_NS - early_s * 10**9
        store.begin_run(Run(number=0, session="drive", started=started, seen=BEGAN_NS))
        store.append(list(messages()))
        store.end_run(BEGAN_NS + LENGTH_S * 10**9)
    return folder


def header(at_s: float, seq: int) -> Header:
    return Header(stamp=BEGAN_NS + round(at_s * 1e9), seq=seq, source="rover/x")


def messages() -> Iterator[tuple[str, Message]]:
    yield "rover/battery", Battery(header=header(1, 1), voltage_v=16.0, current_a=1.0, charge=0.9)
    yield "rover/command", Command(header=header(20, 1), text="go home", verb="go")
    for seq, (at_s, mission) in enumerate(((0, "patrol"), (20, "home")), 1):
        state = MissionState(header=header(at_s, seq), mission=mission, state="driving")
        yield "rover/mission", state
    for seq, (at_s, word) in enumerate(((0, "permitted"), (30, "tripped")), 1):
        told = SafetyState(header=header(at_s, seq), state=word, cause="a test", by="x")
        yield "safety/state", told
    for n in range(1, LENGTH_S * 10 + 1):
        at = header((n - 1) / 10, n)
        yield "rover/camera/image", Image(header=at, data=np.full((60, 80, 3), n % 200, np.uint8))
        person = Detection(label="person", confidence=0.9, x=0.3, y=0.2, w=0.2, h=0.6)
        yield "rover/detections", Detections(header=at, items=(person,))
        place = Odometry(
            header=at, x_m=n / 20, y_m=0.0, yaw_rad=0.0, linear_mps=0.5, angular_radps=0.0
        )
        yield "rover/odometry", place
        if n % 10 == 1:
            heat = Reading(header=at, name="hall/heat", value=20 + n / 100, unit="Cel")
            yield "rover/iot/readings", heat
