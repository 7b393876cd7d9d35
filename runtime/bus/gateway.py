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
import select
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
    rb"([^(\n]{2,60}) \(ingress\) on ([^\s\\]{1,400})"
)
"""What goes out to a client is left out: nobody tried anything there."""
_REFUSALS_KEPT = 1000
_AT_ONCE = 1 << 18
_PAUSE_S = 0.05
_NETWORK = {
    "connect/timeout_ms": -1,  # the other machine may come later, and come again
    "connect/exit_on_failure": False,
    "connect/retry": {"period_init_ms": 200, "period_max_ms": 1000, "period_increase_factor": 2},
}
Tell = Callable[[str, str], None]
"""Tells what happened: a log level and a sentence."""


class Refusals:
    """Counts what access control refused, from what Zenoh's library writes to standard output.

    Zenoh says of a key that a client declares everything the client may not do there, and of one
    that it merely uses what it tried. Both come in one piece and are told as one.
    """

    def __init__(self, tell: Callable[[str, str, str, int], None]) -> None:
        """Begin to count.

        Args:
            tell: Called with the Zenoh id, the acts, the key and how often that was refused by now:
                the 1st, 2nd, 4th, 8th … time.
        """
        self._tell = tell
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def take_over(self) -> None:
        """Have the library say what it refuses, and read that: this process's standard output."""
        source, writing = os.pipe()
        os.dup2(writing, 1)
        os.close(writing)
        zenoh.init_log_from_env_or(_ACCESS_LOG)
        threading.Thread(target=self._follow, args=(source,), name="refusals", daemon=True).start()

    def read(self, text: bytes) -> None:
        """Count the refusals in some lines of the library's log."""
        found: dict[tuple[str, str], list[str]] = {}
        for zid, act, key in _REFUSED.findall(text):
            acts = found.setdefault((zid.decode(), key.decode(errors="replace")), [])
            name = act.decode(errors="replace").lower().replace("/undeclare", "")
            if name not in acts:
                acts.append(name)
        for (who, where), acts in found.items():
            self._count((who, ", ".join(acts), where))

    def _count(self, what: tuple[str, str, str]) -> None:
        if what not in self._counts and len(self._counts) >= _REFUSALS_KEPT:
            what = (what[0], "do more", "many keys")
        self._counts[what] += 1
        count = self._counts[what]
        if count & (count - 1) == 0:
            self._tell(*what, count)

    def _follow(self, source: int) -> None:
        text = b""
        while chunk := os.read(source, 1 << 16):
            text += chunk
            if len(text) < _AT_ONCE and select.select([source], [], [], _PAUSE_S)[0]:
                continue  # more of the same piece
            whole, newline, rest = text.rpartition(b"\n")
            if newline and b"is unauthorized" in whole:
                self.read(whole)
            text = rest[-4096:]


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
            Refusals(self._on_refused).take_over()
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

    def _on_refused(self, zid: str, acts: str, key: str, count: int) -> None:
        links = (link for link in self._session.info.links() if str(link.zid) == zid)
        where = next((str(link.dst) for link in links), f"{zid}, who has left,")
        times = f", {count} times by now" if count > 1 else ""
        # A list of acts is what Zenoh says beforehand of a declared key; nothing was tried yet.
        level = "info" if "," in acts else "warning"
        self._say(level, f"access control: {where} may not {acts}: {key}{times}")

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
