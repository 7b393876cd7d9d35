"""A message that could not be handled, with what is known of it."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages.base import Message, message
from olympus.runtime.messages.schema import Array


@message("olympus/DeadLetter")
class DeadLetter(Message):
    """What a subscription could not handle."""

    topic: str
    """What it came on; a pattern where the message does not say."""
    node: str
    """Who could not handle it; empty for an observer."""
    reason: str
    """`malformed`, `schema`, `failed`, `expired`, `overflow` or `lost`, as in the statistics of
    topics; `left_out` when only `left_out` is told."""
    text: str
    """The error."""
    sender: str = ""
    """Who published it."""
    seq: int = 0
    stamp: int = 0
    """Capture time, ns."""
    size: int = 0
    """Bytes of the whole message."""
    is_frame: bool = False
    """Whether `payload` is all of it, as docs/wire.md has frames, so that it can be sent again."""
    payload: Annotated[NDArray[np.uint8], Array("u1", (None,))] = field(
        default_factory=lambda: np.empty(0, np.uint8)
    )
    """(n,) uint8: the message, or its beginning."""
    left_out: dict[str, int] = field(default_factory=dict)
    """How many more could not be handled since the letter before, by `topic reason`: they came too
    fast to be kept."""


@message("olympus/ForgetLetters")
class ForgetLetters(Message):
    """Asks a recorder to remove dead letters from its store; answered by an Ack."""

    folder: str
    """Of the store that is meant."""
    ids: tuple[str, ...] = ()
    is_everything: bool = False
