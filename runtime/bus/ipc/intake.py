"""The short way of a record, in C where that is built: see quick/intake.c."""

from __future__ import annotations

from typing import Any

import msgpack

from olympus.runtime.bus.ipc.frames import Channel
from olympus.runtime.bus.rows import MOST_ROWS
from olympus.runtime.bus.subscription import Subscription
from olympus.runtime.qos import Tier
from olympus.runtime.quick import quick

_TIERS = tuple(Tier)


def make_intake(channels: dict[int, Channel]) -> Any:
    """Return what takes in the plain records of one pair; None where all goes through Python."""
    if quick is None:
        return None
    return quick.Intake(channels, msgpack.unpackb, _TIERS, Channel, Subscription, MOST_ROWS)
