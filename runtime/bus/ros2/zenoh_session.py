"""Zenoh sessions as rmw_zenoh opens them, and a router as `rmw_zenohd` is one.

Source: rmw_zenoh's DEFAULT_RMW_ZENOH_SESSION_CONFIG.json5 and …ROUTER_CONFIG.json5, July 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import zenoh

from olympus.runtime.bus.ros2.how import LISTEN, ROUTER
from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.errors import BusError, ConfigError

PATIENCE_US = 500_000
"""How long a fragment of a large message waits for room before the whole message is dropped. The
50 ms that Zenoh waits lose every second picture on a busy machine."""
_COMMON: dict[str, Any] = {
    "timestamping/enabled": True,
    "queries_default_timeout": 600_000,
    "transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments": PATIENCE_US,
    "connect/exit_on_failure": False,
    "connect/timeout_ms": 0,
    "connect/retry": {"period_init_ms": 250, "period_max_ms": 2000, "period_increase_factor": 2},
}


def open_ros_session(
    mode: str, *, connect: Sequence[str] = (ROUTER,), listen: Sequence[str] = (LISTEN,)
) -> zenoh.Session:
    """Join the Zenoh network of a ROS 2 graph.

    Args:
        mode: `peer` on the robot itself, `client` from another machine.
        connect: Routers to connect to; tried again and again while none answers.
        listen: Where other peers reach this one; a client listens nowhere.

    Raises:
        BusError: The session can't be opened.
        ConfigError: `mode` is neither.
    """
    if mode not in ("peer", "client"):
        raise ConfigError(f"mode {mode!r}: 'peer' on the robot itself, 'client' from elsewhere")
    is_peer = mode == "peer"
    extra = _COMMON | {
        "scouting/gossip/enabled": is_peer,
        "open/return_conditions": {"connect_scouted": False, "declares": False},
    }
    try:
        return open_session(
            mode, connect=list(connect), listen=list(listen) if is_peer else [], extra=extra
        )
    except BusError as error:
        raise BusError(
            f"no ROS 2 router answers at {', '.join(connect)}; start `ros2 run rmw_zenoh_cpp "
            "rmw_zenohd` there, or `olympus ros2 router`"
        ) from error


@contextmanager
def open_router(listen: Sequence[str], connect: Sequence[str] = ()) -> Iterator[None]:
    """Keep a router open that serves a ROS 2 graph as `rmw_zenohd` does.

    Args:
        listen: Endpoints, such as `tcp/0.0.0.0:7447`.
        connect: Routers of other machines.

    Yields:
        Nothing; sessions can connect meanwhile.

    Raises:
        BusError: An endpoint can't be opened.
    """
    extra = _COMMON | {
        "scouting/gossip/enabled": True,
        "routing/router/peers_failover_brokering": False,
    }
    router = open_session("router", listen=list(listen), connect=list(connect), extra=extra)
    try:
        yield
    finally:
        router.close()  # type: ignore[no-untyped-call]
