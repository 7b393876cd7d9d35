from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.messages import HostStats, LaneStats, NodeStats, TopicStats
from olympus.runtime.telemetry.prometheus import METRICS, escape_label, exposition, number

LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:\\["\\n]|[^"\\\n])*)"')
LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\{(?P<labels>" + rf"(?:{LABEL.pattern},?)*" + r")\} "
    r"(?P<value>NaN|[+-]Inf|-?[0-9.e+-]+)\Z"
)
UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
any_text = st.text(st.characters(exclude_categories=["Cs"]))


def unescape(text: str) -> str:
    return re.sub(r'\\["\\n]', lambda match: UNESCAPED[match.group()], text)


def end(
    topic: str = "rover/a", role: str = "sub", dropped: dict[str, int] | None = None
) -> TopicStats:
    return TopicStats(
        topic=topic,
        type="olympus/Image",
        role=role,
        node="rover/detector",
        count=12,
        rate_hz=15.0,
        bytes_per_s=864000.0,
        age_p50_ms=3.0,
        age_p99_ms=9.5,
        dropped=dropped or {},
    )


def host(
    name: str = "perception",
    *,
    topics: tuple[TopicStats, ...] = (),
    lanes: tuple[LaneStats, ...] = (),
) -> HostStats:
    return HostStats(
        host=name,
        pid=42,
        cpu=0.25,
        rss_mb=58.0,
        threads=7,
        uptime_s=12.5,
        restarts=1,
        loop_lag_ms=2.0,
        nodes=(NodeStats(name="rover/detector", uses="x", state="active", errors=3),),
        topics=topics,
        lanes=lanes,
    )


def lines_of(text: str) -> list[str]:
    # Only the line feed ends a line; str.splitlines would also break at other characters.
    return text.split("\n")[:-1]


def test_nothing_is_said_about_nobody() -> None:
    assert exposition([]) == ""


def test_every_family_has_help_and_type_once_before_its_samples() -> None:
    lane = LaneStats(
        resource="cpu",
        tier="HIGH",
        arrived=9,
        ends={"done": 7, "expired": 2},
        preempted=1,
        ran_s=0.5,
        waiting=0,
        starving_s=0.0,
        delay_p50_ms=1.0,
        delay_p99_ms=2.0,
        delay_worst_ms=3.0,
    )
    hosts = [
        host("a", topics=(end(dropped={"expired": 2}),), lanes=(lane,)),
        host("b", topics=(end(),)),
    ]
    lines = lines_of(exposition(hosts))
    for metric in METRICS:
        helps = [i for i, line in enumerate(lines) if line.startswith(f"# HELP {metric.name} ")]
        types = [i for i, line in enumerate(lines) if line.startswith(f"# TYPE {metric.name} ")]
        samples = [i for i, line in enumerate(lines) if line.startswith(f"{metric.name}{{")]
        assert len(helps) == len(types) == 1
        assert samples == list(range(helps[0] + 2, helps[0] + 2 + len(samples)))


def test_values_are_in_base_units() -> None:
    text = exposition([host(topics=(end(dropped={"superseded": 4}),))])
    where = 'topic="rover/a",role="sub",node="rover/detector",host="perception"'
    assert 'olympus_host_resident_bytes{host="perception"} 58000000.0\n' in text
    assert 'olympus_host_loop_lag_seconds{host="perception"} 0.002\n' in text
    assert f'olympus_topic_age_seconds{{{where},quantile="0.99"}} 0.0095\n' in text
    assert f'olympus_topic_dropped_total{{{where},reason="superseded"}} 4\n' in text


def test_two_subscriptions_of_one_node_are_one_sample() -> None:
    text = exposition([host(topics=(end(dropped={"expired": 2}), end(dropped={"expired": 1})))])
    samples = [line.rpartition(" ")[0] for line in lines_of(text) if not line.startswith("#")]
    assert len(samples) == len(set(samples))
    assert 'reason="expired"} 3\n' in text
    assert 'quantile="0.99"} 0.0095\n' in text


def test_a_publisher_has_no_age() -> None:
    assert "age_seconds{" not in exposition([host(topics=(end(role="pub"),))])


def test_numbers_that_are_none_are_written_as_prometheus_reads_them() -> None:
    assert number(float("nan")) == "NaN"
    assert number(float("inf")) == "+Inf"
    assert number(float("-inf")) == "-Inf"
    assert number(3) == "3"


@given(any_text)
def test_an_escaped_label_is_one_line_and_comes_back_as_it_was(text: str) -> None:
    escaped = escape_label(text)
    assert "\n" not in escaped
    assert re.fullmatch(r'(?:\\["\\n]|[^"\\\n])*', escaped)
    assert unescape(escaped) == text


@given(name=any_text, topic=any_text, reason=any_text)
def test_no_name_can_break_a_line_or_forge_a_label(name: str, topic: str, reason: str) -> None:
    text = exposition([host(name, topics=(end(topic, dropped={reason: 1}),))])
    for line in lines_of(text):
        if line.startswith("# "):
            continue
        match = LINE.match(line)
        assert match, line
        labels = {key: unescape(value) for key, value in LABEL.findall(match["labels"])}
        assert labels["host"] == name
        if match["name"] == "olympus_topic_dropped_total":
            assert labels["topic"] == topic
            assert labels["reason"] == reason
