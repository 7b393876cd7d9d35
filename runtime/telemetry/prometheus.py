"""Metrics for Prometheus, text exposition format 0.0.4.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from olympus.runtime.messages import HostStats, LaneStats, NodeStats, TopicStats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = dict[str, str]
Sample = tuple[Labels, float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of samples."""

    name: str
    kind: str
    """`gauge` or `counter`."""
    help: str
    samples: Callable[[HostStats], Iterable[Sample]]
    combine: Callable[[float, float], float] = operator.add
    """Makes one of two samples with the same labels, such as two subscriptions of one node."""


def _of_host(value: Callable[[HostStats], float]) -> Callable[[HostStats], Iterable[Sample]]:
    return lambda host: [({"host": host.host}, value(host))]


def _of_nodes(value: Callable[[NodeStats], Sample]) -> Callable[[HostStats], Iterable[Sample]]:
    def samples(host: HostStats) -> Iterator[Sample]:
        for node in host.nodes:
            labels, number = value(node)
            yield {"host": host.host, "node": node.name} | labels, number

    return samples


def _of_topics(
    values: Callable[[TopicStats], Iterable[Sample]],
) -> Callable[[HostStats], Iterable[Sample]]:
    def samples(host: HostStats) -> Iterator[Sample]:
        for end in host.topics:
            where = {"topic": end.topic, "role": end.role, "node": end.node, "host": host.host}
            for labels, number in values(end):
                yield where | labels, number

    return samples


def _of_lanes(
    values: Callable[[LaneStats], Iterable[Sample]],
) -> Callable[[HostStats], Iterable[Sample]]:
    def samples(host: HostStats) -> Iterator[Sample]:
        for lane in host.lanes:
            where = {"host": host.host, "resource": lane.resource, "tier": lane.tier}
            for labels, number in values(lane):
                yield where | labels, number

    return samples


def _delays(lane: LaneStats) -> Iterable[Sample]:
    return [
        ({"quantile": "0.5"}, lane.delay_p50_ms / 1e3),
        ({"quantile": "0.99"}, lane.delay_p99_ms / 1e3),
        ({"quantile": "1"}, lane.delay_worst_ms / 1e3),
    ]


def _ages(end: TopicStats) -> Iterable[Sample]:
    if end.role != "sub":
        return []
    return [
        ({"quantile": "0.5"}, end.age_p50_ms / 1e3),
        ({"quantile": "0.99"}, end.age_p99_ms / 1e3),
    ]


METRICS = (
    Metric(
        "olympus_host_cpu_cores",
        "gauge",
        "Cores a host process uses.",
        _of_host(lambda host: host.cpu),
    ),
    Metric(
        "olympus_host_resident_bytes",
        "gauge",
        "Resident memory of a host process.",
        _of_host(lambda host: host.rss_mb * 1e6),
    ),
    Metric(
        "olympus_host_threads",
        "gauge",
        "Threads of a host process.",
        _of_host(lambda host: host.threads),
    ),
    Metric(
        "olympus_host_uptime_seconds",
        "gauge",
        "Time since a host process started.",
        _of_host(lambda host: host.uptime_s),
    ),
    Metric(
        "olympus_host_restarts_total",
        "counter",
        "How often the launcher started a host again.",
        _of_host(lambda host: host.restarts),
    ),
    Metric(
        "olympus_host_loop_lag_seconds",
        "gauge",
        "Worst lateness of a host's event loop in the last period.",
        _of_host(lambda host: host.loop_lag_ms / 1e3),
    ),
    Metric(
        "olympus_node_state",
        "gauge",
        "1 for the lifecycle state a node is in.",
        _of_nodes(lambda node: ({"state": node.state, "uses": node.uses}, 1.0)),
    ),
    Metric(
        "olympus_node_errors_total",
        "counter",
        "Failures of a node's handlers.",
        _of_nodes(lambda node: ({}, node.errors)),
    ),
    Metric(
        "olympus_topic_messages_total",
        "counter",
        "Messages published on a topic, or delivered from it.",
        _of_topics(lambda end: [({"type": end.type}, end.count)]),
    ),
    Metric(
        "olympus_topic_rate_hertz",
        "gauge",
        "Messages per second.",
        _of_topics(lambda end: [({}, end.rate_hz)]),
    ),
    Metric(
        "olympus_topic_bytes_per_second",
        "gauge",
        "Bandwidth of a topic.",
        _of_topics(lambda end: [({}, end.bytes_per_s)]),
    ),
    Metric(
        "olympus_topic_age_seconds",
        "gauge",
        "Age of messages on delivery.",
        _of_topics(_ages),
        max,
    ),
    Metric(
        "olympus_topic_dropped_total",
        "counter",
        "Messages dropped, by reason.",
        _of_topics(lambda end: [({"reason": why}, n) for why, n in sorted(end.dropped.items())]),
    ),
    Metric(
        "olympus_jobs_total",
        "counter",
        "Jobs of a scheduler's lane, by how they ended.",
        _of_lanes(lambda lane: [({"end": end}, n) for end, n in sorted(lane.ends.items())]),
    ),
    Metric(
        "olympus_jobs_preempted_total",
        "counter",
        "How often a job of the lane made way to a more urgent one.",
        _of_lanes(lambda lane: [({}, lane.preempted)]),
    ),
    Metric(
        "olympus_jobs_run_seconds_total",
        "counter",
        "Time the lane's jobs ran.",
        _of_lanes(lambda lane: [({}, lane.ran_s)]),
    ),
    Metric(
        "olympus_jobs_starving_seconds",
        "gauge",
        "How long jobs have waited since one of the lane last ran.",
        _of_lanes(lambda lane: [({}, lane.starving_s)]),
    ),
    Metric(
        "olympus_jobs_start_delay_seconds",
        "gauge",
        "From a job's arrival to its start.",
        _of_lanes(_delays),
    ),
)


def exposition(hosts: Iterable[HostStats]) -> str:
    """Return the newest statistics of all hosts as Prometheus text.

    Args:
        hosts: One HostStats per host.

    Returns:
        The text, which ends with a line feed; empty when there are no hosts.
    """
    known = list(hosts)
    return "".join(line for metric in METRICS for line in _lines(metric, known))


def _lines(metric: Metric, hosts: list[HostStats]) -> Iterator[str]:
    samples: dict[tuple[tuple[str, str], ...], float] = {}
    for host in hosts:
        for labels, value in metric.samples(host):
            key = tuple(labels.items())
            samples[key] = metric.combine(samples[key], value) if key in samples else value
    if not samples:
        return
    yield f"# HELP {metric.name} {escape_help(metric.help)}\n"
    yield f"# TYPE {metric.name} {metric.kind}\n"
    for key, value in samples.items():
        pairs = ",".join(f'{name}="{escape_label(text)}"' for name, text in key)
        yield f"{metric.name}{{{pairs}}} {number(value)}\n"


def escape_label(text: str) -> str:
    """Return `text` fit to stand between the quotes of a label's value."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def escape_help(text: str) -> str:
    """Return `text` fit for a HELP line."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def number(value: float) -> str:
    """Return a value as Prometheus writes it: `NaN`, `+Inf`, `-Inf`, or digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
