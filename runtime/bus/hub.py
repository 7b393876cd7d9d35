"""The hub of a session: where its hosts meet, and the way out to other machines.

It lives in the launcher's process: a door for the hosts of this machine (see ipc/), and a Zenoh
router, in Zenoh's own threads, for outside clients of this machine. Other machines come through
the gateway, a router in a process of its own. The hosts are Zenoh peers of the hub, which carries
nothing from one peer to another: a publisher's Zenoh end is wanted exactly when somebody outside
of the session listens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from olympus.runtime.bus.gateway_process import COMMAND, OnEvent, log_event, open_gateway
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.config import Session

_NO_BROKER = "routing/router/peers_failover_brokering"
"""Off, so that the hub carries nothing from one of our hosts to another: those have the door."""


@contextmanager
def open_hub(
    session: Session,
    *,
    listen: Sequence[str] = (),
    connect: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
    on_event: OnEvent = log_event,
    gateway: Sequence[str] = COMMAND,
) -> Iterator[None]:
    """Keep the session's hub open.

    Args:
        session: Whose hosts meet here.
        listen: Endpoints for other machines and outside Zenoh clients: `tcp/0.0.0.0:7447`.
        connect: Such endpoints of other machines; they may come later.
        extra: More of Zenoh's own configuration for both (TLS, access control).
        on_event: Told, from a thread, when machines connect, are lost, or are refused something.
        gateway: What starts the gateway, such as in a network namespace of its own.

    Yields:
        Nothing; hosts can connect meanwhile.

    Raises:
        BusError: An endpoint can't be opened.
    """
    socket = Path(session.endpoint.removeprefix("unixsock-stream/"))
    _forget(socket)
    hub = open_session("router", listen=[session.endpoint], extra={_NO_BROKER: False})
    try:
        with ExitStack() as rest:
            rest.enter_context(open_door(session.door))
            if listen or connect:
                spec = {
                    "hub": session.endpoint,
                    "listen": list(listen),
                    "connect": list(connect),
                    "extra": dict(extra or {}),
                    "clock_offset_ns": session.clock_offset_ns,
                }
                rest.enter_context(open_gateway(spec, on_event, (*gateway, session.name)))
            yield
    finally:
        hub.close()  # type: ignore[no-untyped-call]
        _forget(socket)


def _forget(socket: Path) -> None:
    """Remove a socket and its lock: what a hub that was killed leaves behind."""
    socket.unlink(missing_ok=True)
    socket.with_name(socket.name + ".lock").unlink(missing_ok=True)
