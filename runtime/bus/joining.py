"""Joining the bus of a session: with everybody on this machine, and through Zenoh with the rest."""

from __future__ import annotations

from collections.abc import Mapping

from olympus.runtime.bus.afar import AfarRule
from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.zenoh_link import ZenohLink
from olympus.runtime.clock import Clock
from olympus.runtime.config import Session


def join(
    session: Session, clock: Clock, *, host: str, afar: Mapping[str, AfarRule] | None = None
) -> Bus:
    """Join a running session in the current event loop.

    Args:
        session: The session.
        clock: Its robot time.
        host: Our name, for others to see.
        afar: How topics go to other machines, by their names or patterns.

    Returns:
        The bus; close it in the end.

    Raises:
        BusError: The session can't be reached.
    """
    link = ZenohLink(session.endpoint, mode="peer", afar=afar)
    try:
        return Bus(clock, host=host, link=link, door=session.door)
    except BaseException:
        link.close()
        raise
