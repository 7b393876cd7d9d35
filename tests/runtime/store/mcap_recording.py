"""A recording with something of every kind, and what is exported of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from olympus.runtime.messages import (
    Header,
    Hop,
    Image,
    Message,
    MissionState,
    Odometry,
    Reading,
    Twist,
    message,
)
from olympus.runtime.qos import Tier
from olympus.runtime.store import StreamStore
from olympus.runtime.store.mcap import Form, export_mcap

BEGAN = 1_700_000_000_000_000_000
MS = 1_000_000
PICTURES = [np.random.default_rng(n).integers(0, 256, (24, 32, 3), np.uint8) for n in range(5)]


@message("test/Fruit")
class Fruit(Message):
    """A type that no other program knows."""

    name: str
    weights: tuple[float, ...] = ()


def header(seq: int, topic: str, source: str = "rover/node") -> Header:
    stamp = BEGAN + seq * 100 * MS
    hop = Hop(topic=topic, seq=seq, stamp=stamp, sent=stamp + 2 * MS)
    return Header(
        seq=seq, stamp=stamp, expires=stamp + MS, tier=Tier.HIGH, source=source, trace=(hop,)
    )


def messages() -> list[tuple[str, Message]]:
    made: list[tuple[str, Message]] = []
    for n, picture in enumerate(PICTURES, 1):
        made += [
            ("rover/camera/image", Image(header=header(n, "rover/camera/image"), data=picture)),
            ("rover/twist", Twist(header=header(n, "t"), linear_mps=n / 3, angular_radps=-n / 7)),
            ("rover/odometry", Odometry(
                header=header(n, "o"), x_m=n, y_m=-n, yaw_rad=0.25, linear_mps=1.0,
                angular_radps=0.5)),
            ("rover/iot/reading", Reading(
                header=header(n, "r", f"iot-{n % 2}"), name="a", value=n / 3, unit="Cel")),
            ("rover/fruit-2", Fruit(header=header(n, "f"), name="plum", weights=(0.1, n / 3))),
            ("rover/mission", MissionState(header=header(n, "m"), mission="m", state="driving")),
        ]  # fmt: skip
    return made


def exported(folder: Path, form: Form, **more: Any) -> Path:
    target = folder.parent / f"{form}.mcap"
    with StreamStore(folder, read_only=True) as store:
        done = export_mcap(store, target, form=form, **more)
    assert not done.refused
    assert done.size == target.stat().st_size
    return target


def frames(folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    with StreamStore(folder, read_only=True) as store:
        return {t: [(r.arrived, r.frame) for r in store.records(t)] for t in store.topics()}
