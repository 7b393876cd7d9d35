"""Whatever a host is sent, the same comes of it with C and without: order, counters and errors."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olympus.runtime.bus.ipc.records import HEAD, LENGTH, MANY
from olympus.runtime.messages import Command, Reading, schema_by_class
from olympus.runtime.quick import quick, why_not

from .conftest import Play
from .scenes import CLASSES, RULES, START_NS, Picky

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
NAMES = (
    "", "", "", "", "raise", "cancel", "end", "wait", "promise", "odd", "unsubscribe", "close",
    "leave", "publish", "echo", "read", "talk",
)  # fmt: skip
"""What a message has its handler do."""
_TYPES = {1: Reading, 2: Reading, 3: Picky, 4: Command}


def opening(channel: int, incarnation: int) -> list[Any]:
    """Return the words that open a channel."""
    if channel == 5:
        return ["open", 5, "r", "strange/Type", 1, [b"12345678".hex()], "n", incarnation]
    schema = schema_by_class(_TYPES[channel])
    digest = [schema.hash.hex()]
    return ["open", channel, "r", schema.name, schema.version, digest, f"n{channel}", incarnation]


subscriptions = st.fixed_dictionaries(
    {
        "topic": st.sampled_from(["r", "r", "*", "out"]),
        "cls": st.sampled_from(["Reading", "Reading", "Reading", *CLASSES]),
        "rule": st.sampled_from(["latest", "queue", *RULES]),
        "keep": st.booleans(),
        "unknown": st.booleans(),
        "slow": st.sampled_from([False, False, False, True]),
    }
)


def rarely(draw: Any, usual: Any, *others: Any) -> Any:
    """Return the usual value, and now and then another one."""
    return draw(st.sampled_from([usual] * 12 + list(others)))


def a_body(draw: Any, channel: int) -> bytes:
    """Return the body of a record."""
    name, text = draw(st.sampled_from(NAMES)), rarely(draw, "", "!", "a")
    fields: list[Any] = [name, 1.5, "Cel", True, "", text]
    if channel == 3:
        fields = [name, rarely(draw, 1, -1), text]
    odd: list[Any] = [None, 1, 2**63, True, "a", [], {}, b"a", 1.5]
    match rarely(draw, 0, 1, 2, 3):
        case 1:
            garbage: bytes = draw(st.binary(max_size=12))
            return garbage
        case 2:
            fields[draw(st.integers(0, len(fields) - 1))] = draw(st.sampled_from(odd))
        case 3:
            fields = fields[1:] if draw(st.booleans()) else [*fields, 1]
    return bytes(msgpack.packb(fields))


def a_record(draw: Any, last: dict[int, int]) -> bytes:
    """Return a record, mostly the next one of its channel, mostly as it should be."""
    channel = draw(st.sampled_from([1, 1, 1, 1, 1, 2, 3, 4, 5, 9]))
    seq = max(0, last.get(channel, 0) + rarely(draw, 1, 0, 2, -1, 7))
    last[channel] = seq
    body = a_body(draw, channel)
    kind, tier = rarely(draw, 0, 1, 5, 9), rarely(draw, 2, 0, 4, 5, 255)
    flags, slots = rarely(draw, 0, 1, 2, 4, 8, 16), rarely(draw, 0, 0, 1)
    stamp = rarely(draw, START_NS - 50, 0, 2**63, 2**64 - 1)
    expires = rarely(draw, 0, 1, START_NS + 100)
    number, length = rarely(draw, seq, 2**63, 2**64 - 1), rarely(draw, len(body), 0, 3)
    sent = START_NS - 40
    head = HEAD.pack(kind, tier, flags, channel, number, stamp, expires, sent, slots, length)
    record = head + body
    cut = rarely(draw, len(record), 1, 47, 48, 49)
    return record[: max(1, cut)]


def a_packet(draw: Any, last: dict[int, int]) -> str:
    """Return a packet of one record, or of several."""
    records = [a_record(draw, last) for _ in range(rarely(draw, 1, 1, 1, 2, 3))]
    if len(records) == 1:
        return records[0].hex()
    return (bytes((MANY,)) + b"".join(LENGTH.pack(len(r)) + r for r in records)).hex()


@st.composite
def scenes(draw: Any) -> dict[str, Any]:
    """Return a scene: who subscribes, and what comes."""
    last: dict[int, int] = {}
    opened = draw(st.sampled_from([[1, 2, 3, 4, 5], [1], [1, 5]]))
    steps: list[Any] = [["say", opening(channel, 1), 0] for channel in opened]
    for _ in range(draw(st.integers(1, 10))):
        turns = draw(st.integers(0, 3))
        match rarely(draw, "send", "open", "wait"):
            case "send":
                many = rarely(draw, 1, 2, 3, 5, 70)
                packets = [a_packet(draw, last) for _ in range(min(many, 5))]
                packets = packets if many < 70 else packets * 14
                steps.append(["send", [packets, rarely(draw, 0, 1)], turns])
            case "open":
                steps.append(["say", opening(draw(st.integers(1, 5)), 2), turns])
            case _:
                steps.append(["wait", 10**9, turns])
    few = draw(st.sampled_from([1, 1, 1, 1, 2, 0]))
    return {"subscriptions": [draw(subscriptions) for _ in range(few)], "steps": steps}


@pytest.mark.timeout(240)
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(scene=scenes())
def test_the_same_comes_of_a_scene_with_c_and_without(
    outcome: Play, reference: Play, scene: dict[str, Any]
) -> None:
    assert outcome(scene) == reference(scene)


PLAIN = {"topic": "r", "cls": "Reading", "keep": False, "unknown": False, "slow": False}


def record(seq: int, name: str, text: str = "") -> str:
    """Return a packet of one record that is as it should be."""
    body: bytes = msgpack.packb([name, 1.5, "Cel", True, "", text])
    return (HEAD.pack(0, 2, 0, 1, seq, START_NS, 0, START_NS, 0, len(body)) + body).hex()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_what_a_handler_does_has_the_same_effect(
    outcome: Play, reference: Play, name: str, rule: str
) -> None:
    packets = [record(1, ""), record(2, name, "!"), record(3, ""), record(4, name), record(5, "")]
    send = [["send", [[packet], 0], 2] for packet in packets[:2]]
    steps = [["say", opening(1, 1), 0], *send, ["send", [packets[2:], 0], 3]]
    scene = {"subscriptions": [PLAIN | {"rule": rule}], "steps": steps}
    came = outcome(scene)
    assert came == reference(scene)
    assert [row for row in came if row[0] == "came"], came


ODD_HEADS = [
    (place, value)
    for place, values in enumerate(
        [
            (1, 2, 3, 4, 5, 6, 255), (0, 4, 5, 255), (1, 2, 4, 8, 16), (0, 2, 2**32 - 1),
            (0, 1, 2, 5, 2**63, 2**64 - 1), (0, 2**63 - 1, 2**63, 2**64 - 1),
            (1, START_NS - 1, START_NS + 1, 2**64 - 1), (0, 2**64 - 1), (1, 2, 2**32 - 1),
            (0, 1, 2**32 - 1),
        ]
    )
    for value in values
]  # fmt: skip
"""Place in the head of a record, and what is odd there."""


@pytest.mark.parametrize("rule", ["queue", "latest"])
@pytest.mark.parametrize(("place", "value"), ODD_HEADS)
def test_each_odd_number_in_a_head_has_the_same_effect(
    outcome: Play, reference: Play, place: int, value: int, rule: str
) -> None:
    packets = [record(number, "") for number in range(1, 6)]
    raw = bytes.fromhex(packets[2])
    head = list(HEAD.unpack_from(raw))
    head[place] = value
    packets[2] = (HEAD.pack(*head) + raw[HEAD.size :]).hex()
    steps = [["say", opening(1, 1), 0], *(["send", [[packet], 0], 2] for packet in packets)]
    scene = {"subscriptions": [PLAIN | {"rule": rule}], "steps": steps}
    assert outcome(scene) == reference(scene)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("slow", [False, True])
def test_whoever_subscribes_the_same_comes_of_it(
    outcome: Play, reference: Play, cls: str, count: int, slow: bool
) -> None:
    again = [record(number, "") for number in (1, 2, 3)]
    steps = [["say", opening(1, 1), 0], *(["send", [[packet], 0], 2] for packet in again)]
    steps += [["say", opening(1, 2), 0], *(["send", [[packet], 0], 2] for packet in again[1:])]
    subscription = PLAIN | {"rule": "queue", "cls": cls, "slow": slow}
    scene = {"subscriptions": [subscription] * count, "steps": steps}
    assert outcome(scene) == reference(scene)
