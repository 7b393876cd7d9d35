"""The short way of a record, in C where that is built: see quick/intake.c."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import msgpack
import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.frames import Channel, Lent, View, let_go
from olympus.runtime.bus.rows import MOST_ROWS
from olympus.runtime.bus.subscription import Subscription
from olympus.runtime.qos import Tier
from olympus.runtime.quick import quick

_TIERS = tuple(Tier)


class Member(Protocol):
    """Who is at this end; its `readers` are asked for too, once there are pictures."""

    def on_call(self, pair: Any, kind: int, number: int, channel: Channel, message: Any) -> None:
        """Take in a question or an answer that is read."""


class Taker(Protocol):
    """Whose records are to be taken in."""

    channels: dict[int, Channel]
    pools: dict[int, Lent]

    def on_claimed(self, record: bytes, base: NDArray[np.uint8], later: bool) -> None:
        """Take in a picture whose slot is claimed."""


def make_intake(taker: Taker, member: Member) -> Any:
    """Return what takes in the plain records of one pair; None where all goes through Python.

    Args:
        taker: The pair.
        member: Knows how many `readers` there are, and takes on questions and answers.
    """
    if quick is None:
        return None
    on_call = partial(member.on_call, taker)
    return quick.Intake(
        taker.channels, taker.pools, member, taker.on_claimed, on_call, msgpack.unpackb,
        _TIERS, Channel, Subscription, Lent, View, let_go, MOST_ROWS,
    )  # fmt: skip
