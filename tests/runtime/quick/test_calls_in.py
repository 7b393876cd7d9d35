"""Whatever questions and answers a host is sent, the same comes of them with C and without."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olympus.runtime.bus.ipc.records import HEAD
from olympus.runtime.messages import Reading, schema_by_class
from olympus.runtime.quick import quick, why_not

from .conftest import Play
from .scenes import START_NS
from .test_scenes import rarely

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
NAMES = ("", "", "raise", "refuse", "wait", "close", "odd")
CALLED: Any = (7, "n", [])
ASK, ANSWER, FAILURE, CANCEL = 1, 2, 3, 4
CALL = 4


def opening(channel: int, topic: str) -> list[Any]:
    """Return the step in which a channel is opened."""
    card = schema_by_class(Reading)
    words = ["open", channel, topic, card.name, card.version, [card.hash.hex()], "", 0]
    return ["say", words, 0]


FIRST = [opening(1, "desk"), opening(2, ""), ["say", ["serve", "far"], 0]]


def record(kind: int, number: int, name: str = "", *, call: Any = None, **head: Any) -> str:
    """Return a question on channel 1, or an answer on channel 2."""
    body = head.pop("body", None)
    if body is None:
        body = msgpack.packb([name, 1.5, "Cel", True, "", "", list(call or CALLED)])
    if kind in (FAILURE, CANCEL):
        body = head.pop("text", b"") if kind == FAILURE else b""
    numbers = {
        "kind": kind, "tier": 2, "flags": CALL, "channel": 1 if kind == ASK else 2, "seq": number,
        "stamp": START_NS, "expires": 0, "sent": 0, "slots": 0, "length": len(body),
    }  # fmt: skip
    packed: bytes = HEAD.pack(*(numbers | head).values()) + body
    return packed.hex()


def a_record(draw: Any) -> str:
    """Return a record that is mostly as it should be."""
    kind = draw(st.sampled_from([ASK, ASK, ASK, ANSWER, ANSWER, ANSWER, FAILURE, CANCEL]))
    hops = [["t", 1, 2, 3]]
    head: dict[str, Any] = {
        "tier": rarely(draw, 2, 0, 4, 5, 255),
        "flags": rarely(draw, CALL, 0, 1, 2, 5, 6, 7, 8, 12, 20),
        "channel": rarely(draw, 1 if kind == ASK else 2, 0, 1, 2, 9),
        "expires": rarely(draw, 0, 1, 2**64 - 1),
        "stamp": rarely(draw, START_NS, 0, 2**64 - 1),
        "slots": rarely(draw, 0, 0, 1, 2),
        "call": rarely(draw, CALLED, (7, "n", hops), (-1, "n", []), (7, 7, []), (7, "n")),
    }
    if draw(st.integers(0, 9)) == 0:
        head["body"] = draw(st.binary(max_size=20))
    number = draw(st.integers(1, 3))
    made = record(kind, number, draw(st.sampled_from(NAMES)), **head)
    cut = rarely(draw, len(made), 94, 96, 98, 112)
    return made[: max(2, cut)]


@st.composite
def scenes(draw: Any) -> dict[str, Any]:
    """Return a scene: what is asked here and there, and what comes."""
    steps = list(FIRST)
    for _ in range(draw(st.integers(1, 8))):
        turns = draw(st.integers(0, 4))
        if draw(st.booleans()):
            steps.append(["ask", draw(st.sampled_from(["a", "b"])), turns])
        else:
            packets = [a_record(draw) for _ in range(draw(st.integers(1, 3)))]
            steps.append(["send", [packets, rarely(draw, 0, 1)], turns])
    return {"subscriptions": [], "serves": ["desk"], "steps": steps}


@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(scene=scenes())
def test_the_same_comes_of_questions_and_answers(
    outcome: Play, reference: Play, scene: dict[str, Any]
) -> None:
    assert outcome(scene) == reference(scene)


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_a_question_is_answered_alike(outcome: Play, reference: Play, name: str) -> None:
    packets = [[record(ASK, 1, name)], [record(ASK, 2), record(ASK, 3, name)]]
    steps = [*FIRST, *(["send", [some, 0], 4] for some in packets)]
    came = outcome({"subscriptions": [], "serves": ["desk"], "steps": steps})
    assert came == reference({"subscriptions": [], "serves": ["desk"], "steps": steps})
    assert [row for row in came if row[0] == "asked"]


def test_an_answer_reaches_who_asked_once(outcome: Play, reference: Play) -> None:
    answers = [record(ANSWER, number, "x") for number in (2, 1, 1, 2, 3)]
    steps = [*FIRST, ["ask", "a", 2], ["ask", "b", 2], ["send", [answers, 0], 4]]
    came = outcome({"subscriptions": [], "steps": steps})
    assert came == reference({"subscriptions": [], "steps": steps})
    assert [row[1] for row in came if row[0] == "answered"] == ["b", "a"]


ODD_HEADS = [
    (place, value)
    for place, values in {
        "tier": (0, 4, 5, 255), "flags": range(32), "channel": (0, 1, 2, 9),
        "seq": (0, 2, 2**64 - 1),
        "stamp": (0, 2**63, 2**64 - 1), "expires": (1, 2**64 - 1), "sent": (1, 2**64 - 1),
        "slots": (1, 2, 2**32 - 1), "length": (0, 1, 12, 2**32 - 1),
    }.items()
    for value in values
]  # fmt: skip


@pytest.mark.parametrize(("place", "value"), ODD_HEADS)
def test_each_odd_number_in_a_head_has_the_same_effect(
    outcome: Play, reference: Play, place: str, value: int
) -> None:
    odd: dict[str, Any] = {place: value}
    packets = [record(kind, 1, **odd) for kind in (ASK, ANSWER)]
    steps = [*FIRST, ["ask", "a", 2], ["send", [packets, 0], 5], ["send", [[record(ASK, 2)], 0], 5]]
    scene = {"subscriptions": [], "serves": ["desk"], "steps": steps}
    assert outcome(scene) == reference(scene)
