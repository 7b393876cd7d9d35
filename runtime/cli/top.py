"""`olympus top`: a live table of hosts, what they use, and topics with rate, age and drops."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from olympus.runtime.cli.connect import AsJson, SessionName, carry_out, joined
from olympus.runtime.cli.stats import StatsBoard, stats_of
from olympus.runtime.messages import HostStats, NodeStats, TopicStats
from olympus.runtime.messages.plain import plain

REFRESH_S = 0.5
HOSTS = ("host", "pid", "cpu %", "MB", "lag ms", "up s", "restarts", "nodes")
TOPICS = ("topic", "Hz", "kB/s", "p50 ms", "p99 ms", "readers", "dropped")
ENDS = ("topic", "end", "node", "Hz", "kB/s", "p50 ms", "p99 ms", "dropped")
_CUT = {"nodes", "topic", "node", "dropped"}
_LEFT = {"host", "end"}
Row: TypeAlias = tuple[str, ...]
_BESIDE_TOPICS = 4
"""Lines of the screen that are neither a host nor a topic."""


def top(
    once: Annotated[bool, typer.Option("--once", help="Print it once and end.")] = False,
    ends: Annotated[
        bool, typer.Option("--ends", help="A line for each end of a topic, not for each topic.")
    ] = False,
    as_json: AsJson = False,
    session: SessionName = None,
) -> None:
    """Show hosts with CPU, memory and restarts, and topics with rate, age and drops.

    A topic's age is that of its slowest reader: from capture until the message is handled. Ctrl-C
    leaves.
    """
    if once or as_json:
        carry_out(_once(session, as_json=as_json, ends=ends))
    else:
        carry_out(_live(session, ends=ends))


async def _once(session: str | None, *, as_json: bool, ends: bool) -> None:
    async with joined(session) as bus:
        hosts = await stats_of(bus)
    if as_json:
        typer.echo(json.dumps([plain(host) for host in hosts]))
    else:
        Console(highlight=False).print(view(hosts, ends=ends))


async def _live(session: str | None, *, ends: bool) -> None:
    async with joined(session) as bus:
        board = StatsBoard(bus)
        with Live(view([]), auto_refresh=False, screen=True) as live:
            while True:
                hosts = board.hosts()
                room = live.console.height - len(hosts) - _BESIDE_TOPICS
                live.update(view(hosts, ends=ends, most=room), refresh=True)
                await asyncio.sleep(REFRESH_S)


def view(hosts: list[HostStats], *, ends: bool = False, most: int | None = None) -> Group:
    """Return the two tables.

    Args:
        hosts: Newest statistics, by name.
        ends: Whether each end of a topic gets a line.
        most: How many lines of topics there is room for; None for all.
    """
    headings, rows = (ENDS, _end_rows(hosts)) if ends else (TOPICS, _topic_rows(hosts))
    above = (_table(HOSTS, _host_rows(hosts)), "")
    if most is None or len(rows) <= most:
        return Group(*above, _table(headings, rows))
    shown = max(most - 1, 1)
    more = f"{len(rows) - shown} more; a higher window or --once shows them"
    return Group(*above, _table(headings, rows[:shown]), more)


def _host_rows(hosts: list[HostStats]) -> list[Row]:
    return [
        (
            host.host,
            str(host.pid),
            f"{host.cpu * 100:.1f}",
            f"{host.rss_mb:.0f}",
            f"{host.loop_lag_ms:.1f}",
            f"{host.uptime_s:.0f}",
            str(host.restarts),
            _named(host.nodes),
        )
        for host in hosts
    ]


def _named(nodes: Iterable[NodeStats]) -> str:
    """Return the nodes without their namespace; those in trouble first, with their state."""
    in_order = sorted(nodes, key=lambda one: one.state == "active")
    words = [(one.name.rpartition("/")[2], one.state) for one in in_order]
    return ", ".join(name if state == "active" else f"{name} {state}" for name, state in words)


def _topic_rows(hosts: list[HostStats]) -> list[Row]:
    ends = _ends(hosts)
    topics = sorted({end.topic for end in ends})
    return [_topic_row(topic, [end for end in ends if end.topic == topic]) for topic in topics]


def _topic_row(topic: str, ends: list[TopicStats]) -> Row:
    sent = [end for end in ends if end.role == "pub"]
    heard = [end for end in ends if end.role == "sub"]
    dropped = sum((Counter(end.dropped) for end in ends), Counter[str]())
    return (
        topic,
        f"{sum(end.rate_hz for end in sent):.1f}",
        f"{sum(end.bytes_per_s for end in sent) / 1000:.1f}",
        *_ages(max(heard, key=lambda end: end.age_p99_ms, default=None)),
        str(len(heard)),
        _counts(dropped),
    )


def _end_rows(hosts: list[HostStats]) -> list[Row]:
    ends = sorted(_ends(hosts), key=lambda one: (one.topic, one.role, one.node))
    return [
        (
            end.topic,
            end.role,
            end.node,
            f"{end.rate_hz:.1f}",
            f"{end.bytes_per_s / 1000:.1f}" if end.role == "pub" else "",
            *_ages(end if end.role == "sub" else None),
            _counts(end.dropped),
        )
        for end in ends
    ]


def _ends(hosts: list[HostStats]) -> list[TopicStats]:
    return [end for host in hosts for end in host.topics if not end.topic.startswith("@")]


def _ages(end: TopicStats | None) -> tuple[str, str]:
    """Return the median and the 99th percentile; nothing for a topic that was not heard yet."""
    if end is None or end.age_p99_ms == 0:
        return "", ""
    return f"{end.age_p50_ms:.1f}", f"{end.age_p99_ms:.1f}"


def _counts(dropped: dict[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in dropped.items() if count)


def _table(headings: Row, rows: list[Row]) -> Table:
    """Return a table of which, on a narrow screen, only the words are cut short."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        is_cut = heading in _CUT
        side: Literal["left", "right"] = "left" if is_cut or heading in _LEFT else "right"
        table.add_column(heading, justify=side, no_wrap=not is_cut)
    for row in rows:
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
    return table
