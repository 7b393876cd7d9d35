from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.models.planner.words import SOUNDS, THINGS, Vocabulary, mask, split

SITE = Vocabulary(
    places=dict.fromkeys(("lab", "storage room", "room 12", "start", "home"), ()),
    things=dict(THINGS),
    sounds=dict(SOUNDS),
)


@pytest.mark.parametrize(
    ("sentence", "text", "values"),
    [
        ("Go to the Lab, please!", "go to the P1", {"P1": "lab"}),
        ("then go home", "then go to the P1", {"P1": "home"}),
        ("go to storage room", "go to P1", {"P1": "storage room"}),
        ("go to room 12", "go to P1", {"P1": "room 12"}),
        ("go to storage_room", "go to P1", {"P1": "storage room"}),
        ("start your rounds", "start your rounds", {}),
        ("return to start", "return to P1", {"P1": "start"}),
        ("wait ten seconds", "wait N1 seconds", {"N1": "10"}),
        ("wait twenty-five seconds", "wait N1 seconds", {"N1": "25"}),
        ("wait 2.50 seconds", "wait N1 seconds", {"N1": "2.5"}),
        ("patrol twice", "patrol N1 times", {"N1": "2"}),
        ("stop when you see one", "stop when you see one", {}),
        ("wait one minute", "wait N1 minute", {"N1": "1"}),
        ("stop when somebody shows up", "stop when T1 shows up", {"T1": "person"}),
        ("until you hear breaking glass", "until you hear S1", {"S1": "glass"}),
        ("till someone claps", "till S1", {"S1": "clap"}),
        ("wait 5 s, then 5 s more", "wait N1 s , then N1 s more", {"N1": "5"}),
        ("go to -3, 4", "go to N1 , N2", {"N1": "-3", "N2": "4"}),
        ("", "", {}),
        ("?!", "", {}),
    ],
)
def test_names_and_numbers_become_slots(sentence: str, text: str, values: dict[str, str]) -> None:
    masked = mask(sentence, SITE)
    assert masked.text == text
    assert dict(masked.values) == values


@given(st.text(max_size=80))
def test_any_text_is_masked_and_every_slot_has_a_value(text: str) -> None:
    masked = mask(text, SITE)
    assert "  " not in masked.text
    assert "<|" not in masked.text  # nothing that was said can pass for a special token
    assert all(value for value in masked.values.values())


@given(
    st.lists(st.sampled_from(["see", "to", "the", "lab", "7", "and", "home", "seven"]), max_size=9)
)
def test_masking_loses_no_word(words: list[str]) -> None:
    masked = mask(" ".join(words), SITE)
    back = [masked.values.get(word, word) for word in masked.words]
    plain = ["7" if word == "seven" else word for word in words]
    assert back == split(" ".join(plain))


def test_a_name_of_the_site_comes_before_another_word_for_something() -> None:
    sounds = dict(SOUNDS) | {"breaking glass": ()}
    masked = mask("wait until you hear breaking glass", Vocabulary(sounds=sounds))
    assert masked.values == {"S1": "breaking glass"}
