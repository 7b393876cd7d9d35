from __future__ import annotations

import json
import math
from dataclasses import replace

from olympus.nodes.viewer.hosts import Hosts
from watched import end_of, host_of

SECOND = 1_000_000_000


def node_row(hosts: Hosts, now_ns: int) -> dict[str, object]:
    (row,) = hosts.node_rows(now_ns)
    assert isinstance(row, dict)
    return row


def test_a_silent_host_is_away_and_its_return_leaves_a_gap() -> None:
    hosts = Hosts()
    hosts.on_stats(host_of("camera"), 10 * SECOND)
    assert node_row(hosts, 11 * SECOND)["away"] is False
    assert node_row(hosts, 14 * SECOND)["away"] is True
    hosts.on_stats(host_of("camera", pid=2, restarts=1), 15 * SECOND)
    row = node_row(hosts, 15 * SECOND)
    assert (row["away"], row["gaps"], row["restarts"]) == (False, [[10_000.0, 15_000.0]], 1)


def test_a_host_whose_figures_are_no_numbers_hides_no_other() -> None:
    hosts = Hosts()
    for name, uptime_s in (("odd", math.nan), ("odder", math.inf), ("camera", 10.0)):
        hosts.on_stats(replace(host_of(name), uptime_s=uptime_s, cpu=uptime_s), 10 * SECOND)
    rows = json.loads(json.dumps(hosts.node_rows(10 * SECOND), allow_nan=False))
    assert [row["up_since"] for row in rows] == [0.0, None, None]


def test_a_restart_shows_even_when_it_was_quick_and_not_counted_elsewhere() -> None:
    hosts = Hosts()
    hosts.on_stats(host_of("camera", pid=1), 10 * SECOND)
    hosts.on_stats(host_of("camera", pid=2), 11 * SECOND)
    row = node_row(hosts, 11 * SECOND)
    assert row["restarts"] == 1
    assert row["gaps"] == [[10_000.0, 11_000.0]]


def test_the_end_of_liveliness_shows_at_once() -> None:
    hosts = Hosts()
    hosts.on_stats(host_of("camera"), 10 * SECOND)
    hosts.on_present({"rover/other"})
    assert node_row(hosts, 10 * SECOND)["away"] is False, "it was never seen alive there"
    hosts.on_present({"rover/camera"})
    hosts.on_present({"rover/other"})
    assert node_row(hosts, 10 * SECOND)["away"] is True
    assert hosts.present(10 * SECOND) == []


def test_a_topic_joins_its_ends_from_all_hosts() -> None:
    hosts = Hosts()
    hosts.on_stats(host_of("camera", end_of("rover/image", "pub", "rover/camera")), SECOND)
    hosts.on_stats(
        host_of(
            "eyes",
            end_of("rover/image", "sub", "rover/detector", p99=8.0, superseded=3, expired=1),
            end_of("rover/image", "sub", "rover/viewer", p99=90.0, superseded=2),
        ),
        SECOND,
    )
    (row,) = hosts.topic_rows(SECOND, viewer="rover/viewer")
    assert isinstance(row, dict)
    assert (row["rate"], row["bps"], row["type"]) == (15.0, 1e6, "Image")
    assert row["p99"] == 8.0, "the age a viewer adds is not the robot's"
    assert row["drops"] == {"superseded": 5, "expired": 1}
    (away,) = [r for r in hosts.topic_rows(9 * SECOND) if isinstance(r, dict)]
    assert (away["away"], away["rate"]) == (True, 0)
