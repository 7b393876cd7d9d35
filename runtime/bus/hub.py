"""The hub of a session: the one place where its hosts meet.

It lives in the launcher's process, in Zenoh's own threads: Python being busy there does not hold up
a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
) -> Iterator[None]:
    """Keep the session's hub open.

    Args:
        session: Whose hosts meet here.
        listen: More endpoints, for other machines and outside Zenoh clients: `tcp/0.0.0.0:7447`.
        connect: Hubs of other machines.
        extra: More of Zenoh's own configuration, by path (TLS, access control).

    Yields:
        Nothing; hosts can connect meanwhile.

    Raises:
        BusError: An endpoint can't be opened.
    """
    socket = Path(session.endpoint.removeprefix("unixsock-stream/"))
    _forget(socket)
    settings = {_NO_BROKER: False, **(extra or {})}
    hub = open_session(
        "router", listen=[session.endpoint, *listen], connect=list(connect), extra=settings
    )
    try:
        with open_door(session.door):
            yield
    finally:
        hub.close()  # type: ignore[no-untyped-call]
        _forget(socket)


def _forget(socket: Path) -> None:
    """Remove a socket and its lock: what a hub that was killed leaves behind."""
    socket.unlink(missing_ok=True)
    socket.with_name(socket.name + ".lock").unlink(missing_ok=True)
