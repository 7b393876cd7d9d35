"""What was on a topic before: asked of whoever records it."""

from __future__ import annotations

from olympus.runtime.bus import Bus, Entity
from olympus.runtime.cli.vocabulary import learn
from olympus.runtime.config import Session
from olympus.runtime.errors import BusError, did_you_mean
from olympus.runtime.messages import Message, decode, read_header
from olympus.runtime.messages.history import History, HistoryQuery

TYPE = "olympus/HistoryQuery"
PATIENCE_S = 15.0


async def past_of(
    bus: Bus, graph: list[Entity], place: Session, query: HistoryQuery
) -> tuple[list[tuple[str, Message]], bool]:
    """Return what the session's recorders have of a topic.

    Args:
        bus: A joined bus.
        graph: Who is there.
        place: The session; its modules may define the types.
        query: What is wanted.

    Returns:
        Topics and messages, in the order of their capture; whether there was more.

    Raises:
        BusError: Nobody records, or a recorder doesn't answer.
        MessageError: A recorded frame is of a type that nobody here defines.
    """
    services = sorted({one.topic for one in graph if one.kind == "srv" and one.type == TYPE})
    if not services:
        raise BusError(
            "nobody here records; add a node that uses olympus.nodes.recorder, "
            "or look into a store with: olympus store"
        )
    found: dict[bytes, tuple[str, Message]] = {}
    is_cut = False
    for service in services:
        answer = await bus.call(service, query, History, timeout_s=PATIENCE_S)
        is_cut |= answer.is_cut
        frames = [(item.topic, item.frame.tobytes()) for item in answer.items]
        learn({read_header(frame)[0] for _, frame in frames}, graph, place)
        found |= {frame: (topic, decode(frame)) for topic, frame in frames}
    return sorted(found.values(), key=lambda one: one[1].header.stamp), is_cut


def nothing_of(topic: str, graph: list[Entity]) -> str:
    """Say that a topic was not recorded."""
    sent = {one.topic for one in graph if one.kind == "pub" and not one.topic.startswith("@")}
    hint = "it is not among the recorder's topics" if topic in sent else did_you_mean(topic, sent)
    return f"{topic}: nothing of it is recorded; {hint}"
