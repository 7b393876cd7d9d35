import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.agents import EXAMPLES, NotUnderstoodError, understand


@pytest.mark.parametrize(
    ("sentence", "verb", "args"),
    [
        ("patrol the corridor", "patrol", {"place": "corridor"}),
        ("Please patrol 3 rounds.", "patrol", {"rounds": "3"}),
        ("patrol", "patrol", {}),
        ("rover, go to 9, 0", "go", {"x": "9", "y": "0"}),
        ("go to (-1.5 2)", "go", {"x": "-1.5", "y": "2"}),
        ("drive back to the meeting room", "go", {"place": "meeting room"}),
        ("go home", "go", {"place": "home"}),
        ("turn around", "turn", {"direction": "around"}),
        ("wait 2.5 s", "wait", {"seconds": "2.5"}),
        ("go on", "continue", {}),
        ("STOP!", "stop", {}),
        ("  stop   now ", "stop", {}),
    ],
)
def test_sentences_become_commands(sentence: str, verb: str, args: dict[str, str]) -> None:
    command = understand(sentence)
    assert (command.verb, command.args) == (verb, args)
    assert command.text == " ".join(sentence.split())


@pytest.mark.parametrize("sentence", EXAMPLES)
def test_every_example_is_understood(sentence: str) -> None:
    assert understand(sentence).verb


@pytest.mark.parametrize("sentence", ["", "dance", "don't stop", "stop the music", "x" * 300])
def test_what_is_not_understood_is_answered_with_examples(sentence: str) -> None:
    with pytest.raises(NotUnderstoodError, match="patrol the corridor"):
        understand(sentence)


@given(st.text(max_size=250))
def test_no_text_does_harm(text: str) -> None:
    try:
        understand(text)
    except NotUnderstoodError:
        return
