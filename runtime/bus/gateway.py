"""The gateway: the process of a session that faces other machines, so that no other has to.

It is a Zenoh router of its own between the session's hub and the network: what is listened at,
who may come in (TLS) and what they may do (access control) is its configuration alone. It says
what happens there, one JSON line at a time, and ends with the launcher.

Started by the hub as `python -m olympus.runtime.bus.gateway SESSION`; its settings come on standard
input.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.bus.zenoh_samples import encoding_of
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import BusError
from olympus.runtime.lifeline import tie_to_parent
from olympus.runtime.messages import Header, Log, encode

LOG_TOPIC = "@olympus/log"
_ACCESS_LOG = "error,zenoh::net::routing::interceptor::access_control=trace"
_REFUSED = re.compile(
    rb"(?:result: |\+)([0-9a-f]{2,32}) is unauthorized to "
    rb"([^(\n]{2,60}) \(\w+\) on ([^\s\\]{1,400})"
)
_REFUSALS_KEPT = 1000
_NETWORK = {
    "connect/timeout_ms": -1,  # the other machine may come later, and come again
    "connect/exit_on_failure": False,
    "connect/retry": {"period_init_ms": 200, "period_max_ms": 1000, "period_increase_factor": 2},
}
Tell = Callable[[str, str], None]
"""Tells what happened: a log level and a sentence."""


class Refusals:
    """Counts what access control refused, from what Zenoh's library writes to standard output."""

    def __init__(self, tell: Callable[[str, str, str, int], None]) -> None:
        """Take over this process's standard output.

        Args:
            tell: Called with the Zenoh id, the act, the key and how often that was refused by now:
                the 1st, 2nd, 4th, 8th … time.
        """
        self._tell = tell
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._source, writing = os.pipe()
        os.dup2(writing, 1)
        os.close(writing)
        zenoh.init_log_from_env_or(_ACCESS_LOG)
        threading.Thread(target=self._follow, name="refusals", daemon=True).start()

    def read(self, text: bytes) -> None:
        """Count the refusals in some lines of the library's log."""
        for zid, act, _flow, key in _REFUSED.findall(text):
            what = (
                zid.decode(),
                act.decode(errors="replace").lower(),
                key.decode(errors="replace"),
            )
            if what not in self._counts and len(self._counts) >= _REFUSALS_KEPT:
                what = (zid.decode(), "do more", "many keys")
            self._counts[what] += 1
            count = self._counts[what]
            if count & (count - 1) == 0:
                self._tell(*what, count)

    def _follow(self) -> None:
        rest = b""
        while chunk := os.read(self._source, 1 << 16):
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline and b"is unauthorized" in whole:
                self.read(whole)
            rest = rest[-4096:]


class Gateway:
    """A router between a session's hub and other machines."""

    def __init__(self, spec: Mapping[str, Any], tell: Tell) -> None:
        """Open it.

        Args:
            spec: `hub`, `listen`, `connect`, `extra`, `clock_offset_ns`.
            tell: Told what happens.

        Raises:
            BusError: An endpoint can't be opened, or a setting is wrong.
        """
        self._tell = tell
        self._connected: set[str] = set()
        self._clock = SystemClock(spec["clock_offset_ns"])
        if "access_control" in spec["extra"] or any("access_control" in k for k in spec["extra"]):
            self._refusals = Refusals(self._on_refused)
        self._session = open_session(
            "router",
            listen=spec["listen"],
            connect=[spec["hub"], *spec["connect"]],
            extra={**_NETWORK, **spec["extra"]},
        )
        self._session.info.declare_link_events_listener(
            Callback(self._on_link, indirect=True), history=True
        )

    def close(self) -> None:
        """Close it."""
        self._session.close()  # type: ignore[no-untyped-call]

    def _on_link(self, event: zenoh.LinkEvent) -> None:
        where = str(event.link.dst)
        is_new = event.kind == zenoh.SampleKind.PUT
        if where.startswith("unixsock-stream") or is_new == (where in self._connected):
            return  # the hub, or told already
        if is_new:
            self._connected.add(where)
            self._say("info", f"connected with {where} ({event.link.zid})")
        else:
            self._connected.discard(where)
            self._say("warning", f"lost the connection with {where} ({event.link.zid})")

    def _on_refused(self, zid: str, act: str, key: str, count: int) -> None:
        links = (link for link in self._session.info.links() if str(link.zid) == zid)
        where = next((str(link.dst) for link in links), "somebody who has left")
        times = f", {count} times by now" if count > 1 else ""
        self._say("warning", f"access control refused {where} to {act} {key}{times}")

    def _say(self, level: str, text: str) -> None:
        self._tell(level, text)
        header = Header(stamp=self._clock.now_ns(), source="gateway")
        line = Log(header=header, level=level, logger="gateway", text=text)
        self._session.put(LOG_TOPIC, encode(line), encoding=encoding_of("olympus/Log"))


def main() -> int:
    """Read the settings, open the gateway, stay until standard input ends."""
    tie_to_parent()
    telling = threading.Lock()

    def tell(level: str, text: str) -> None:
        with telling:
            sys.stderr.write(json.dumps({"level": level, "text": text}) + "\n")
            sys.stderr.flush()

    spec = json.loads(sys.stdin.readline())
    try:
        gateway = Gateway(spec, tell)
    except BusError as error:
        tell("failed", str(error))
        return error.exit_code
    tell("ready", "")
    sys.stdin.read()
    gateway.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
