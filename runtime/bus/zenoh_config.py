"""Zenoh sessions as Olympus opens them: explicit endpoints, nothing found or shown by itself.

Source: measured with zenoh 1.10: scouting costs 0.5 s at `open`, and a frozen peer is noticed after
9 s with the default lease of 10 s, after 0.8 s with 1 s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import zenoh

from olympus.runtime.errors import BusError

LEASE_MS = 1000
QUEUE_BATCHES = 16
"""Places per priority in a send queue, Zenoh's most; with its default of 2 a node that publishes
three small messages in a row on a busy machine loses the third."""
PATIENCE_US = 20_000
"""How long a droppable message waits for such a place; only the local hub can make it wait."""
_PRIORITIES = (
    "control",
    "real_time",
    "interactive_high",
    "interactive_low",
    "data_high",
    "data",
    "data_low",
    "background",
)


def open_session(
    mode: str,
    *,
    listen: list[str] | None = None,
    connect: list[str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> zenoh.Session:
    """Open a Zenoh session.

    Args:
        mode: `router`, `peer` or `client`.
        listen: Endpoints to listen at, such as `tcp/127.0.0.1:7447`.
        connect: Endpoints to connect to.
        extra: More of Zenoh's own configuration, by path, such as `transport/link/tls`.

    Returns:
        The session.

    Raises:
        BusError: It can't be opened; names the endpoints.
    """
    config = zenoh.Config()
    settings: dict[str, Any] = {
        "mode": mode,
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "scouting/delay": 0,  # else a router takes 0.5 s to open
        "open/return_conditions": {"connect_scouted": False, "declares": False},
        "transport/link/tx/lease": LEASE_MS,
        "transport/link/tx/queue/size": dict.fromkeys(_PRIORITIES, QUEUE_BATCHES),
        "transport/link/tx/queue/congestion_control/drop/wait_before_drop": PATIENCE_US,
        "listen/endpoints": listen or [],
        "connect/endpoints": connect or [],
        "connect/timeout_ms": 3000,
        **(extra or {}),
    }
    try:
        for path, value in settings.items():
            config.insert_json5(path, json.dumps(value))
        return zenoh.open(config)
    except zenoh.ZError as error:
        where = ", ".join([*(listen or []), *(connect or [])]) or "no endpoint"
        raise BusError(f"no bus at {where}: {error}; is the session running?") from error
