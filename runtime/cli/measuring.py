"""`olympus topic hz`, `bw` and `delay`: a topic measured here, and what its ends count."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from olympus.runtime.bus import Bus, Entity, Subscription
from olympus.runtime.bus.topics import matches
from olympus.runtime.cli.connect import AsJson, SessionName, carry_out
from olympus.runtime.cli.hearing import Ear
from olympus.runtime.cli.pace import WINDOW, Pace
from olympus.runtime.cli.stats import StatsBoard
from olympus.runtime.config import Session
from olympus.runtime.messages import Message, TopicStats

Topic = Annotated[str, typer.Argument(help="Full name, such as rover/cmd_vel.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Give up after so many seconds of silence.")]
Lines = Annotated[
    int, typer.Option("-n", "--count", min=0, help="End after so many reports; 0 = never.")
]
Window = Annotated[
    int, typer.Option("-w", "--window", min=2, max=100_000, help="The newest so many messages.")
]
Ends = Annotated[bool, typer.Option("--ends", help="Show what the ends of the topic count too.")]
Values = dict[str, Any]
LATE, MALFORMED = ("expired",), ("malformed", "schema")
"""Reasons for a drop that go by names of their own here."""


def hz(
    topic: Topic,
    count: Lines = 0,
    window: Window = WINDOW,
    ends: Ends = False,
    as_json: AsJson = False,
    timeout: Timeout = 30.0,
    session: SessionName = None,
) -> None:
    """Measure how often messages come: a report each second."""
    text = "{rate_hz:.2f} Hz, gap {gap_min_ms:.1f}..{gap_max_ms:.1f} ms, sd {gap_sd_ms:.1f} ms"
    report = _Report(Pace(window), Pace.rate, text, as_json=as_json, ends=ends)
    carry_out(report.run(topic, session, count, timeout))


def bw(
    topic: Topic,
    count: Lines = 0,
    window: Window = WINDOW,
    ends: Ends = False,
    as_json: AsJson = False,
    timeout: Timeout = 30.0,
    session: SessionName = None,
) -> None:
    """Measure how many bytes a second a topic carries: a report each second."""
    text = (
        "{bytes_per_s:.0f} B/s, messages of {bytes_min:.0f}..{bytes_max:.0f} B, "
        "mean {bytes_mean:.0f} B, sd {bytes_sd:.0f} B"
    )
    report = _Report(Pace(window), Pace.bandwidth, text, as_json=as_json, ends=ends)
    carry_out(report.run(topic, session, count, timeout))


def delay(
    topic: Topic,
    count: Lines = 0,
    window: Window = WINDOW,
    ends: Ends = False,
    as_json: AsJson = False,
    timeout: Timeout = 30.0,
    session: SessionName = None,
) -> None:
    """Measure how old messages are when they arrive, from capture on: a report each second."""
    text = (
        "age p50 {age_p50_ms:.1f} ms, p99 {age_p99_ms:.1f} ms, {age_min_ms:.1f}..{age_max_ms:.1f} "
        "ms, sd {age_sd_ms:.1f} ms"
    )
    report = _Report(Pace(window), Pace.delay, text, as_json=as_json, ends=ends)
    carry_out(report.run(topic, session, count, timeout))


class _Report:
    """Measures one topic and prints what comes of it."""

    def __init__(
        self,
        pace: Pace,
        measure: Callable[[Pace], dict[str, float]],
        text: str,
        *,
        as_json: bool,
        ends: bool,
    ) -> None:
        self._pace, self._measure, self._text = pace, measure, text
        self._as_json, self._shows_ends = as_json, ends
        self._subscription: Subscription[Message] | None = None
        self._board: StatsBoard | None = None
        self._topic = ""
        self._told = 0

    async def run(self, topic: str, session: str | None, count: int, timeout_s: float) -> None:
        """Report until there were `count` reports."""
        self._topic = topic

        def note(message: Message) -> bool:
            if self._pace.note(message):
                typer.echo(self._line())
                self._told += 1
            return 0 < count == self._told

        await Ear(topic, note, timeout_s).hear(session, joined=self._join, begun=self._begin)

    def _join(self, bus: Bus, _graph: list[Entity], _place: Session) -> None:
        self._pace.use(bus.clock)
        self._board = StatsBoard(bus)

    def _begin(self, subscription: Subscription[Message]) -> None:
        self._subscription = subscription

    def _line(self) -> str:
        here = counters(self._subscription.dropped if self._subscription is not None else {})
        # What is late is delivered here all the same, to be measured.
        here |= {"delivered": self._pace.delivered, "late": self._pace.late}
        values = {name: round(value, 3) for name, value in self._measure(self._pace).items()}
        ends = self._ends()
        if self._as_json:
            return json.dumps({**values, "window": self._pace.size, **here, "ends": ends})
        lines = [f"{self._text.format(**values)}, window {self._pace.size}; {as_words(here)}"]
        if self._shows_ends:
            lines += [f"  {one['node']} ({one['role']}): {as_words(one)}" for one in ends]
        return "\n".join(lines)

    def _ends(self) -> list[Values]:
        hosts = self._board.hosts() if self._board is not None else []
        found = [one for host in hosts for one in host.topics if matches(self._topic, one.topic)]
        return [end_of(one) for one in found if one.node]


def end_of(stats: TopicStats) -> Values:
    """Return what one end of a topic counts, as `--json` prints it."""
    count = "sent" if stats.role == "pub" else "delivered"
    return {
        "node": stats.node,
        "role": stats.role,
        "topic": stats.topic,
        count: stats.count,
        "rate_hz": round(stats.rate_hz, 3),
        **counters(stats.dropped),
    }


def counters(dropped: dict[str, int]) -> Values:
    """Sort drops by what a person looks for: late, malformed, and the rest by reason."""
    known = {*LATE, *MALFORMED}
    return {
        "late": sum(dropped.get(reason, 0) for reason in LATE),
        "malformed": sum(dropped.get(reason, 0) for reason in MALFORMED),
        "dropped": {why: number for why, number in dropped.items() if why not in known and number},
    }


def as_words(values: Values) -> str:
    """Return counters as a part of a line."""
    count = "sent" if "sent" in values else "delivered"
    drops = ", ".join(f"{number} {why}" for why, number in values["dropped"].items())
    return (
        f"{values[count]} {count}, {values['late']} late, {values['malformed']} malformed, "
        f"dropped: {drops or 'none'}"
    )
