"""Nodes and topics, as the hosts' statistics tell them, and when a host was away."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from olympus.nodes.viewer.streams import Json, finite, ms
from olympus.runtime.messages import HostStats, TopicStats

AWAY_AFTER_NS = 2_200_000_000
"""A host speaks every second; after this long without a word it is away."""
GAPS_KEPT = 20


@dataclass(slots=True)
class Record:
    """What is known of one host."""

    stats: HostStats
    seen_ns: int
    was_gone: bool = False
    """Whether its liveliness ended after it was last heard."""
    was_present: bool = False
    """Whether its nodes were seen alive on the bus since it last came."""
    gaps: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=GAPS_KEPT))
    """From when to when it was away, robot time, ns."""
    restarts_seen: int = 0

    def is_away(self, now_ns: int) -> bool:
        """Tell whether it is away at robot time `now_ns`."""
        return self.was_gone or now_ns - self.seen_ns > AWAY_AFTER_NS


class Hosts:
    """All hosts that were ever heard in this session."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def present(self, now_ns: int) -> list[HostStats]:
        """Return the newest statistics of the hosts that are there."""
        return [r.stats for r in self._records.values() if not r.is_away(now_ns)]

    def on_stats(self, stats: HostStats, now_ns: int) -> None:
        """Take in what a host says of itself."""
        record = self._records.get(stats.host)
        if record is None:
            self._records[stats.host] = Record(stats, now_ns)
            return
        if record.is_away(now_ns) or record.stats.pid != stats.pid:
            record.gaps.append((record.seen_ns, now_ns))
            record.restarts_seen += record.stats.pid != stats.pid
        record.stats, record.seen_ns, record.was_gone = stats, now_ns, False

    def on_present(self, nodes: set[str]) -> None:
        """Take in which nodes are alive on the bus: faster news of a death than silence is."""
        for record in self._records.values():
            names = {node.name for node in record.stats.nodes}
            is_present = bool(names & nodes)
            record.was_gone |= record.was_present and not is_present
            record.was_present = is_present

    def node_rows(self, now_ns: int) -> list[Json]:
        """Return one row per node, hosts in order of their names."""
        return [
            row for _, record in sorted(self._records.items()) for row in _nodes(record, now_ns)
        ]

    def topic_rows(self, now_ns: int, viewer: str = "") -> list[Json]:
        """Return one row per topic, our own inner ones last.

        Ages are those of the worst subscriber other than `viewer`.
        """
        ends: dict[str, list[tuple[TopicStats, str, bool]]] = defaultdict(list)
        for name, record in sorted(self._records.items()):
            for end in record.stats.topics:
                ends[end.topic].append((end, name, record.is_away(now_ns)))
        ordered = sorted(ends, key=lambda topic: (topic.startswith("@"), topic))
        return [_topic(topic, ends[topic], viewer) for topic in ordered]


def _nodes(record: Record, now_ns: int) -> Iterator[Json]:
    stats, is_away = record.stats, record.is_away(now_ns)
    for node in stats.nodes:
        yield {
            "name": node.name,
            "uses": node.uses,
            "state": node.state,
            "errors": node.errors,
            "host": stats.host,
            "pid": stats.pid,
            "cpu": finite(stats.cpu),
            "rss_mb": finite(stats.rss_mb, 1),
            "threads": stats.threads,
            "lag_ms": finite(stats.loop_lag_ms, 2),
            "up_since": finite(ms(record.seen_ns) - stats.uptime_s * 1e3, 0),
            "restarts": max(stats.restarts, record.restarts_seen),
            "away": is_away,
            "seen": ms(record.seen_ns),
            "gaps": [[ms(a), ms(b)] for a, b in record.gaps],
        }


def _topic(name: str, ends: list[tuple[TopicStats, str, bool]], viewer: str) -> Json:
    pubs = [e for e in ends if e[0].role == "pub"]
    subs = [e for e in ends if e[0].role == "sub"]
    others = [e for e in subs if e[0].node != viewer and e[0].rate_hz > 0] or subs
    worst = max(others, key=lambda e: e[0].age_p99_ms, default=None)
    drops: Counter[str] = Counter()
    for end, _, _ in ends:
        drops.update(end.dropped)
    live = [end for end, _, is_away in pubs if not is_away]
    return {
        "topic": name,
        "type": ends[0][0].type.removeprefix("olympus/"),
        "rate": finite(sum(end.rate_hz for end in live), 2),
        "bps": finite(sum(end.bytes_per_s for end in live), 0),
        "p50": finite(worst[0].age_p50_ms, 2) if worst else None,
        "p99": finite(worst[0].age_p99_ms, 2) if worst else None,
        "drops": {why: n for why, n in drops.items() if n},
        "away": bool(pubs) and not live,
        "pubs": [_end(*end) for end in pubs],
        "subs": [_end(*end) for end in subs],
    }


def _end(end: TopicStats, host: str, is_away: bool) -> Json:
    return {
        "node": end.node,
        "host": host,
        "rate": finite(end.rate_hz, 2),
        "count": end.count,
        "p50": finite(end.age_p50_ms, 2),
        "p99": finite(end.age_p99_ms, 2),
        "drops": {why: n for why, n in end.dropped.items() if n},
        "away": is_away,
    }
