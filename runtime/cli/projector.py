"""Shows a replay as it goes: at a pace, step by step, from one time to another."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import typer

from olympus.runtime.bus.topics import matches
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import did_you_mean
from olympus.runtime.messages import Message
from olympus.runtime.messages.plain import plain


@dataclass(slots=True)
class Projector:
    """Prints what is published anew, and keeps the pace."""

    show: Sequence[str] = ()
    """Patterns of topics that are printed."""
    speed: float = 0.0
    """Times as fast as it was; 0 = as fast as it can."""
    from_s: float = 0.0
    """Before this, counted from the beginning, nothing is shown or waited for."""
    is_stepping: bool = False
    """Whether each message that is shown waits for a key."""
    _began_ns: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)

    def on_event(self, at_ns: int) -> None:
        """Wait until an event is due."""
        self._began_ns = self._began_ns or at_ns
        passed_s = (at_ns - self._began_ns) / NS_PER_S - self.from_s
        if passed_s < 0 or not self.speed:
            return
        self._since = self._since or time.monotonic()
        wait_s = passed_s / self.speed - (time.monotonic() - self._since)
        if wait_s > 0:
            time.sleep(wait_s)

    def on_message(self, topic: str, message: Message, sent_ns: int) -> None:
        """Show a message, if it is to be shown."""
        at_s = (sent_ns - self._began_ns) / NS_PER_S
        if at_s < self.from_s or not any(matches(pattern, topic) for pattern in self._shown):
            return
        fields = plain(message)
        fields.pop("header")
        typer.echo(f"{at_s:9.3f} s  {topic} no. {message.header.seq}  {json.dumps(fields)}")
        if self.is_stepping and sys.stdin.readline() == "":
            self.is_stepping = False  # nobody is there to press a key

    def unmatched(self, topics: Iterable[str]) -> Iterator[str]:
        """Say which patterns fit none of the topics that were published anew."""
        names = sorted(topics)
        for pattern in self.show:
            if not any(matches(pattern, name) for name in names):
                near = did_you_mean(pattern, names)
                yield f"--show {pattern}: no node that ran again has such a topic; {near}"

    @property
    def _shown(self) -> Sequence[str]:
        return self.show or (("**",) if self.is_stepping else ())
