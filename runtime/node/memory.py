"""What a node remembers beyond its process: what it said, as the robot's recorder has kept it.

A robot has one memory, the streams of its store. So what a node learned survives its process and a
loss of power as everything recorded does, can be looked at, and is told to a replay as it was.
"""

from __future__ import annotations

from typing import TypeVar

from olympus.runtime.messages import Message, decode
from olympus.runtime.messages.history import History, HistoryQuery
from olympus.runtime.node.node import Node

M = TypeVar("M", bound=Message)
PATIENCE_S = 10.0


async def recall(
    node: Node, topic: str, cls: type[M], *, count: int = 1, recorder: str = "recorder"
) -> list[M]:
    """Return what was recorded last on a topic, in earlier runs of the robot too.

    Args:
        node: Who asks; in its handlers and from `on_activate` on.
        topic: Full name: `node.full_topic("notes")` for an output of its own.
        cls: Type of the messages; others are left out.
        count: At most so many, the newest.
        recorder: Full name of the recorder's node.

    Returns:
        The oldest of them first; empty when nothing was recorded.

    Raises:
        BusError: No recorder of that name answers.
        StoreError: Its store is damaged.
        MessageError: A message is of another version of its type.
    """
    query = HistoryQuery(topic=topic, count=count)
    answer = await node.call(f"{recorder}/history", query, History, timeout_s=PATIENCE_S)
    messages = [decode(item.frame.tobytes()) for item in answer.items]
    return [message for message in messages if isinstance(message, cls)]
