import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from olympus.drivers.decoder import ReadingDecoder
from olympus.drivers.mqtt import Delivery
from olympus.drivers.payload import MAX_BYTES, PayloadError, decode_value
from olympus.drivers.readings import ReadingRule, covers, fill_levels, matches

S = 1_000_000_000


def delivery(topic: str, payload: bytes, *, stamp_ns: int = S, retained: bool = False) -> Delivery:
    return Delivery(topic, payload, stamp_ns, retained)


@pytest.mark.parametrize(
    ("payload", "rule", "value"),
    [
        (b'{"t": 21.5}', {"path": "t"}, 21.5),
        (b'{"a": {"b": [1, 2]}}', {"path": "a.b.1"}, 2),
        (b'{"a/b": {"~": 7}}', {"path": "/a~1b/~0"}, 7),
        (b"true", {}, 1),
        (b'"3.5"', {}, 3.5),
        (b'{"state": "open"}', {"path": "state", "words": {"open": 1, "closed": 0}}, 1),
        (b" 42 \n", {"kind": "number"}, 42),
        (b"ON", {"kind": "number", "words": {"ON": 1}}, 1),
        (struct.pack("<f", 0.5), {"kind": "binary"}, 0.5),
        (struct.pack(">hH", -7, 9), {"kind": "binary", "format": ">hH", "index": 1}, 9),
        (b"12\0\0", {"kind": "binary", "format": "4s"}, 12),
        (b"250", {"kind": "number", "scale": 0.1, "offset": -5}, 20),
    ],
)
def test_a_value_is_found_where_the_rule_says(
    payload: bytes, rule: dict[str, object], value: float
) -> None:
    made = ReadingRule.model_validate({"topic": "t", **rule})
    assert decode_value(made, payload) == pytest.approx(value)


@pytest.mark.parametrize(
    ("payload", "rule", "reason"),
    [
        (b"", {}, "empty"),
        (b"x" * (MAX_BYTES + 1), {}, "too_long"),
        (b"\xff\xfe", {}, "not_text"),
        (b"{", {}, "not_json"),
        (b"NaN", {}, "not_json"),
        (b"[" * 50_000, {}, "not_json"),
        (b"9" * 5_000, {}, "not_json"),
        (b"1" + b"0" * 400, {}, "not_a_number"),
        (b"{}", {"path": "t"}, "no_such_path"),
        (b"[1]", {"path": "1"}, "no_such_path"),
        (b"[1]", {"path": "/" + "9" * 40}, "no_such_path"),
        (b"null", {}, "not_a_number"),
        (b"[1]", {}, "not_a_number"),
        (b'"warm"', {}, "not_a_number"),
        (b"1_000", {"kind": "number"}, "not_a_number"),
        (b"nan", {"kind": "number"}, "not_finite"),
        (b"inf", {"kind": "number"}, "not_finite"),
        (b"1e308", {"kind": "number", "scale": 10}, "not_finite"),
        (b"12", {"kind": "binary"}, "wrong_size"),
        (struct.pack("<f", math.nan), {"kind": "binary"}, "not_finite"),
    ],
)
def test_what_holds_no_value_is_refused_with_its_reason(
    payload: bytes, rule: dict[str, object], reason: str
) -> None:
    made = ReadingRule.model_validate({"topic": "t", **rule})
    with pytest.raises(PayloadError) as caught:
        decode_value(made, payload)
    assert caught.value.reason == reason


RULES = [
    ReadingRule(topic="#"),
    ReadingRule(topic="#", path="a.0"),
    ReadingRule(topic="#", kind="number", words={"on": 1}),
    ReadingRule(topic="#", kind="binary", format="<hf", index=1, range=(0, 1)),
    ReadingRule(topic="#", kind="binary", format="8s"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_payload_makes_the_decoder_fail(payload: bytes) -> None:
    decoder = ReadingDecoder(RULES)
    values = decoder.decode(delivery("a/b", payload))
    assert len(values) == len(RULES)
    assert sum(decoder.refused.values()) == sum(not value.valid for value in values)
    assert all(math.isfinite(value.value) for value in values if value.valid)
    assert all(value.text for value in values if not value.valid)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_survive_every_kind_of_payload(value: float) -> None:
    assert decode_value(ReadingRule(topic="t"), json.dumps(value).encode()) == value
    assert decode_value(ReadingRule(topic="t", kind="number"), repr(value).encode()) == value
    binary = ReadingRule(topic="t", kind="binary")
    assert decode_value(binary, struct.pack("<f", value)) == value


@pytest.mark.parametrize(
    ("topic", "topic_filter", "does"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/+", True),
        ("a/b/c", "a/+", False),
        ("a", "a/#", True),
        ("a/b/c", "a/#", True),
        ("ab", "a/#", False),
        ("a/b", "#", True),
        ("$SYS/x", "#", False),
        ("$SYS/x", "+/x", False),
        ("$SYS/x", "$SYS/#", True),
        ("/a", "+/a", True),
        ("a/", "a/+", True),
    ],
)
def test_filters_match_as_mqtt_says(topic: str, topic_filter: str, does: bool) -> None:
    assert matches(topic, topic_filter) is does


@pytest.mark.parametrize(
    "rule",
    [
        {"topic": "a/#/b"},
        {"topic": "a/b#"},
        {"topic": "a+/b"},
        {"topic": ""},
        {"topic": "a", "range": [2, 1]},
        {"topic": "a", "kind": "binary", "format": "<q?!"},
        {"topic": "a", "kind": "binary", "format": "<f", "index": 1},
        {"topic": "a", "kind": "xml"},
        {"topic": "a", "scale": float("inf")},
        {"topic": "a", "unti": "Cel"},
    ],
)
def test_a_rule_that_cannot_work_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReadingRule.model_validate(rule)


def test_names_take_levels_of_the_topic() -> None:
    assert fill_levels("{1}/temperature", "site/hall/t") == "hall/temperature"
    assert fill_levels("", "site/hall/t") == "site/hall/t"
    assert fill_levels("{9}x", "site") == "x"


def test_a_value_out_of_range_is_told_but_not_valid() -> None:
    rule = ReadingRule(topic="t/+", name="{1}", device="d-{1}", unit="Cel", range=(-40, 60))
    decoder = ReadingDecoder([rule])
    (good,) = decoder.decode(delivery("t/hall", b"60"))
    (bad,) = decoder.decode(delivery("t/hall", b"60.1"))
    assert (good.name, good.value, good.unit, good.valid) == ("hall", 60, "Cel", True)
    assert good.device == "d-hall"
    assert (bad.value, bad.valid) == (60.1, False)
    assert bad.text.startswith("out_of_range: 60.1")
    assert decoder.refused == {"out_of_range": 1}


def test_messages_nobody_asked_for_are_counted() -> None:
    decoder = ReadingDecoder([ReadingRule(topic="a")])
    assert decoder.decode(delivery("b", b"1")) == []
    assert decoder.refused == {"unmapped": 1}


def test_one_message_may_hold_several_readings() -> None:
    rules = [ReadingRule(topic="s", path=key, name=key) for key in ("t", "h")]
    decoder = ReadingDecoder(rules)
    assert decoder.filters == ["s"]
    values = decoder.decode(delivery("s", b'{"t": 20, "h": 50}'))
    assert [(value.name, value.value) for value in values] == [("t", 20), ("h", 50)]


def test_a_filter_that_another_covers_is_not_subscribed_to() -> None:
    topics = ["a/b", "a/+", "c/#", "c/d", "c/+/e", "f/+/g", "f/h/g", "a/x/y"]
    decoder = ReadingDecoder([ReadingRule(topic=topic) for topic in topics])
    assert decoder.filters == ["a/+", "c/#", "f/+/g", "a/x/y"]


@given(st.lists(st.sampled_from(["a", "b", "+", "#"]), min_size=1, max_size=4).map("/".join))
def test_covering_agrees_with_matching(text: str) -> None:
    narrow = text.split("#")[0] + "#" if "#" in text else text
    topic = narrow.replace("+", "z").replace("#", "y/x")
    for wide in ("#", "a/#", "+/#", "a/+", "+/+", "a", "+", "a/b/#"):
        if covers(wide, narrow):
            assert matches(topic, wide)
        elif wide == "#":
            pytest.fail("# covers everything")


def test_retained_values_can_be_ignored() -> None:
    decoder = ReadingDecoder([ReadingRule(topic="a", retained="ignore")])
    assert decoder.decode(delivery("a", b"1", retained=True)) == []
    assert len(decoder.decode(delivery("a", b"1"))) == 1


def test_silence_makes_a_reading_stale_once() -> None:
    decoder = ReadingDecoder([ReadingRule(topic="t/+", name="{1}", stale_s=2)])
    assert decoder.stale(100 * S) == []
    decoder.decode(delivery("t/hall", b"20", stamp_ns=10 * S))
    assert decoder.stale(12 * S) == []
    (value,) = decoder.stale(13 * S)
    assert (value.name, value.valid) == ("hall", False)
    assert value.text == "stale: nothing usable for 3.0 s"
    assert math.isnan(value.value)
    assert decoder.stale(14 * S) == []
    decoder.decode(delivery("t/hall", b"20", stamp_ns=15 * S))
    assert len(decoder.stale(18 * S)) == 1
    assert decoder.refused == {"stale": 2}


def test_garbage_does_not_keep_a_reading_fresh() -> None:
    decoder = ReadingDecoder([ReadingRule(topic="t", stale_s=2)], now_ns=10 * S)
    decoder.decode(delivery("t", b"garbage", stamp_ns=12 * S))
    assert [value.name for value in decoder.stale(13 * S)] == ["t"]


def test_a_sensor_that_never_spoke_is_missed() -> None:
    decoder = ReadingDecoder([ReadingRule(topic="smoke", stale_s=5)], now_ns=10 * S)
    assert decoder.stale(14 * S) == []
    assert [value.name for value in decoder.stale(16 * S)] == ["smoke"]


def test_a_flood_of_made_up_topics_does_not_fill_the_memory() -> None:
    decoder = ReadingDecoder([ReadingRule(topic="t/#", stale_s=1)])
    for number in range(10_500):
        decoder.decode(delivery(f"t/{number}", b"1"))
    assert len(decoder.stale(10 * S)) == 10_000
