"""What a replay did not publish anew, and what it had nothing to compare with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from olympus.runtime.replay.acting import ReplayedNode
from olympus.runtime.replay.difference import Difference, Tally
from olympus.runtime.replay.hosts import HostReplay
from olympus.runtime.replay.outcome import Outcome, Uncompared
from olympus.runtime.replay.recording import Recording, TopicReel

Spans = Mapping[str, list[tuple[int, int]]]
"""From when to when there is a journal of each node that ran again."""
NO_JOURNAL = "sent after the end of its node's journal"


def count_missing(outcome: Outcome, recording: Recording, hosts: Sequence[HostReplay]) -> None:
    """Count what nodes that ran again had published, by the recording, and did not again.

    A topic of which nothing at all came again counts as well: the journals name it.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    for host in hosts:
        running = [one for one in host.nodes if one is not None and one.name not in outcome.apart]
        for node in running:
            spans.setdefault(node.name, []).append((node.began_ns, host.last_ns))
    for topic in sorted({*outcome.tallies, *(topic for _, topic in _sent(hosts, spans))}):
        reel = recording.reel(topic)
        if reel is None:
            continue
        tally = outcome.tallies.setdefault(topic, Tally(topic))
        for source, missing in _count_rest_of(reel, tally, spans):
            number = f"{missing} more messages"
            outcome.differences.append(
                Difference(topic, 0, source, "messages", number, "nothing", 0)
            )


def left_over(hosts: Iterable[HostReplay]) -> list[ReplayedNode]:
    """Return the nodes that came to their end before they did all that the originals did."""
    nodes = (node for host in hosts for node in filter(None, host.nodes))
    return [node for node in nodes if node.rows and not node.has_ended]


def name_uncompared(outcome: Outcome, recording: Recording, hosts: Sequence[HostReplay]) -> None:
    """Name the recorded topics that were not compared, and why."""
    recorded = {topic for topic in recording.topics if not topic.startswith("@")}
    sent = _sent(hosts, {*outcome.apart, *outcome.nodes})
    for (node, topic), messages in sorted(sent.items()):
        if topic not in recorded:
            continue
        if (found := outcome.apart.get(node)) is not None:
            outcome.uncompared.append(
                Uncompared(topic, node, messages, found.why, is_meant=found.is_meant)
            )
    for topic, tally in sorted(outcome.tallies.items()):
        if tally.uncovered and not tally.equal + tally.differing + tally.missing:
            names = ", ".join(sorted(node for node, one in sent if one == topic))
            outcome.uncompared.append(
                Uncompared(topic, names, tally.uncovered, NO_JOURNAL, is_meant=False)
            )
    if all(host.is_over for host in hosts):  # else what comes later is not known yet
        told = {topic for _, topic in sent} | set(outcome.tallies)
        outcome.unjournaled = sorted(recorded - told)


def _sent(hosts: Iterable[HostReplay], nodes: Iterable[str]) -> Counter[tuple[str, str]]:
    """Return how many messages some nodes published by their journals, by node and topic."""
    names = frozenset(nodes)
    found: Counter[tuple[str, str]] = Counter()
    for host in hosts:
        found.update({key: times for key, times in host.sent.items() if key[0] in names})
    return found


def _count_rest_of(reel: TopicReel, tally: Tally, spans: Spans) -> Iterator[tuple[str, int]]:
    """Count what is missing, and yield how much of each publisher that lacks some."""
    for _ in reel.rest():
        pass
    for source, covered in spans.items():
        times = reel.sent_times(source)
        known = sum(any(a <= one <= b for a, b in covered) for one in times)
        tally.uncovered += len(times) - known
        if (missing := known - tally.found[source]) > 0:
            tally.missing += missing
            yield source, missing
