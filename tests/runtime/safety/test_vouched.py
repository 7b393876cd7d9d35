"""Conditions: known, good, and said again in time."""

from __future__ import annotations

import pytest

from olympus.runtime.safety.protocol import ConditionReport
from olympus.runtime.safety.settings import MOST_NAMES
from olympus.runtime.safety.vouched import Conditions

S = 1_000_000_000
NOW = 1000 * S


def good(name: str, good_for_s: float | None) -> ConditionReport:
    return ConditionReport(name, True, "level", good_for_s)


@pytest.mark.parametrize(
    ("after_ns", "is_good"), [(0, True), (5 * S, True), (5 * S + 1, False), (3600 * S, False)]
)
def test_a_word_is_good_for_its_time(after_ns: int, is_good: bool) -> None:
    one = Conditions(())
    assert one.take(good("tilt", 5.0), NOW) == ""
    found = list(one.problems(NOW + after_ns))
    assert (found == []) is is_good
    (told,) = one.told(NOW + after_ns)
    assert (told["ok"], told["text"] == "level") == (is_good, is_good)
    if not is_good:
        assert found[0].startswith("condition tilt: last reported good ")
        assert told["text"] == found[0].removeprefix("condition tilt: ")


def test_a_word_without_a_time_is_good_for_ever() -> None:
    one = Conditions(())
    one.take(good("door", None), NOW)
    assert list(one.problems(NOW + 10**6 * S)) == []


def test_a_word_that_is_said_again_begins_anew_and_a_bad_one_never_ends() -> None:
    one = Conditions(())
    one.take(good("tilt", 5.0), NOW)
    one.take(good("tilt", 5.0), NOW + 4 * S)
    assert list(one.problems(NOW + 9 * S)) == []
    one.take(ConditionReport("tilt", False, "at 40°", 5.0), NOW + 9 * S)
    assert list(one.problems(NOW + 99 * S)) == ["condition tilt: at 40°"]
    assert one.told(NOW + 99 * S) == [{"name": "tilt", "ok": False, "text": "at 40°"}]


def test_what_was_declared_and_never_reported_is_not_good() -> None:
    one = Conditions(("battery",))
    assert list(one.problems(NOW)) == ["condition battery: never reported"]
    assert one.told(NOW) == [{"name": "battery", "ok": False, "text": "never reported"}]


def test_there_is_room_for_so_many_only() -> None:
    one = Conditions(())
    for number in range(MOST_NAMES):
        assert one.take(good(str(number), None), NOW) == ""
    assert "conditions already" in one.take(good("more", None), NOW)
    assert one.take(good("0", None), NOW) == ""
