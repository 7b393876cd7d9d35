"""Zenoh sessions as Olympus opens them: explicit endpoints, nothing found or shown by itself.

Source: measured with zenoh 1.10: scouting costs 0.5 s at `open`, and a frozen peer is noticed after
9 s with the default lease of 10 s, after 0.8 s with 1 s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import zenoh

from olympus.runtime.errors import BusError

LEASE_MS = 1000
QUEUE_BATCHES = 16
"""Places per priority in a send queue, Zenoh's most; with its default of 2 a node that publishes
three small messages in a row on a busy machine loses the third."""
PATIENCE_US = 20_000
"""How long a droppable message waits for such a place; only the local hub can make it wait."""
_MODES = frozenset({"router", "peer", "client"})
_WHOLE = frozenset({"connect/retry", "listen/retry"})
"""Settings of several values that Zenoh takes together only."""
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


def flattened(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested settings by path: what is not named keeps its value.

    Args:
        settings: As in a Zenoh configuration file; a key may be a path itself.
        above: Path of the settings that these are in.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        path = f"{above}/{key}" if above else key
        is_whole = path in _WHOLE or (isinstance(value, Mapping) and _MODES.issuperset(value))
        if isinstance(value, Mapping) and not is_whole:
            found |= flattened(value, path)
        else:
            found[path] = value
    return found


def check_settings(
    extra: Mapping[str, Any], *, listen: Sequence[str] = (), connect: Sequence[str] = ()
) -> Iterator[str]:
    """Yield what is wrong with settings and endpoints; nothing is opened.

    Args:
        extra: As for `open_session`.
        listen: As for `open_session`.
        connect: As for `open_session`.
    """
    config = zenoh.Config()
    for path, value in flattened(extra).items():
        try:
            _lay_over(config, path, value)
        except BusError as error:
            yield str(error)
    for key, endpoints in (("listen", listen), ("connect", connect)):
        for endpoint in endpoints:
            try:
                config.insert_json5(f"{key}/endpoints", json.dumps([endpoint]))
            except zenoh.ZError as error:
                yield (
                    f"bus.{key}: {endpoint!r} is no Zenoh endpoint: {_brief(error)}; "
                    "write it like tcp/0.0.0.0:7447"
                )


def _lay_over(config: zenoh.Config, path: str, value: object) -> None:
    try:
        config.insert_json5(path, json.dumps(value))
    except zenoh.ZError as error:
        why = "there is no such setting" if "unknown key" in str(error) else _brief(error)
        raise BusError(
            f"bus.zenoh: {path}: {json.dumps(value):.80}: {why}; the names are those of Zenoh's "
            "own configuration file"
        ) from error


def _brief(error: zenoh.ZError) -> str:
    """Return what matters of what Zenoh says, without places in its source."""
    text = str(error)
    told = re.search(r'msg: "((?:[^"\\]|\\.)*)"', text)
    return told.group(1).replace('\\"', '"') if told else re.split(r" at \S+\.rs:\d+", text)[0]


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
        extra: More of Zenoh's own configuration, laid over ours; nested, or by path, such as
            `transport/link/tls`.

    Returns:
        The session.

    Raises:
        BusError: It can't be opened, or a setting is not Zenoh's; names endpoints or the setting.
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
    }
    for path, value in settings.items():
        config.insert_json5(path, json.dumps(value))
    for path, value in flattened(extra or {}).items():
        _lay_over(config, path, value)
    try:
        return zenoh.open(config)
    except zenoh.ZError as error:
        where = ", ".join([*(listen or []), *(connect or [])]) or "no endpoint"
        raise BusError(f"no bus at {where}: {_brief(error)}; is the session running?") from error
