"""The tables of `olympus top`, at the widths of real terminals."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from olympus.runtime.cli.top import view
from olympus.runtime.messages import HostStats, NodeStats, TopicStats


def end(topic: str, role: str, node: str, **numbers: float) -> TopicStats:
    return TopicStats(
        topic=topic,
        type="olympus/Image",
        role=role,
        node=node,
        count=9,
        rate_hz=numbers.get("rate_hz", 15.0),
        bytes_per_s=1000.0,
        age_p50_ms=numbers.get("p50", 0.0),
        age_p99_ms=numbers.get("p99", 0.0),
        dropped={"superseded": int(numbers.get("superseded", 0))},
    )


def node(name: str, state: str = "active") -> NodeStats:
    return NodeStats(name=name, uses="x:Y", state=state, errors=0)


HOST = HostStats(
    host="perception",
    pid=123456,
    cpu=0.071,
    rss_mb=142.6,
    threads=9,
    uptime_s=12.0,
    restarts=0,
    loop_lag_ms=2.5,
    nodes=(node("rover/detector"), node("rover/listener"), node("rover/percepts", "error")),
    topics=(
        end("rover/camera/image", "pub", "rover/camera"),
        end("rover/camera/image", "sub", "rover/detector", p50=4.0, p99=9.5, superseded=3),
        end("rover/camera/image", "sub", "rover/viewer", p50=1.0, p99=2.5, superseded=4),
        end("rover/command", "pub", "rover/viewer", rate_hz=0.0),
        end("@olympus/log", "pub", "perception"),
    ),
)


def lines(width: int, **wishes: bool | int) -> list[str]:
    stream = io.StringIO()
    ends, most = bool(wishes.get("ends")), wishes.get("most")
    Console(file=stream, width=width).print(view([HOST], ends=ends, most=most))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_topic_is_one_line_with_its_slowest_reader_and_all_drops() -> None:
    (line,) = [line for line in lines(100) if line.startswith("rover/camera/image")]
    assert line.split() == [
        *("rover/camera/image", "15.0", "1.0", "4.0", "9.5", "2", "7", "superseded")
    ]
    assert not any("@olympus" in line for line in lines(100))


def test_a_node_in_trouble_comes_first_with_its_state() -> None:
    assert lines(120)[1].endswith("percepts error, detector, listener")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_cell_wraps_and_no_number_is_cut(width: int) -> None:
    text = lines(width)
    assert len(text) == 1 + 1 + 1 + 1 + 2  # headings and rows of two tables, a gap between
    assert "123456" in text[1]
    assert " 143 " in text[1]


def test_each_end_can_have_a_line_of_its_own() -> None:
    found = [line.split()[1:3] for line in lines(120, ends=True) if "camera/image" in line]
    assert found == [["pub", "rover/camera"], ["sub", "rover/detector"], ["sub", "rover/viewer"]]


def test_a_low_screen_says_how_much_it_leaves_out() -> None:
    assert lines(100, ends=True, most=3)[-1] == "2 more; a higher window or --once shows them"
    assert len(lines(100, ends=True, most=3)) == 4 + 2 + 1
