"""What reached a host and can't be laid to any topic's account: counted, and shown like a topic."""

from __future__ import annotations

import asyncio

from olympus.runtime.bus.ipc.member import Member
from olympus.runtime.bus.loop import intake_failures
from olympus.runtime.messages import TopicStats

ASTRAY = "@olympus/astray"
"""Nobody sends it: it stands among the statistics of a host that lost something in this way."""


def astray(host: str, near: Member | None) -> tuple[TopicStats, ...]:
    """Return what went astray on its way into this host; nothing where nothing did.

    Args:
        host: Its name.
        near: What brings messages from the other hosts of this machine.
    """
    if near is None:
        return ()
    failed = intake_failures(asyncio.get_running_loop())
    dropped = {why: n for why, n in (("senseless", near.stray), ("failed", failed)) if n}
    if not dropped:
        return ()
    return (
        TopicStats(
            topic=ASTRAY,
            type="",
            role="sub",
            node=host,
            count=0,
            rate_hz=0.0,
            bytes_per_s=0.0,
            age_p50_ms=0.0,
            age_p99_ms=0.0,
            dropped=dropped,
        ),
    )
