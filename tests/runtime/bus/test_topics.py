import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.bus.topics import check_topic, matches, resolve
from olympus.runtime.errors import ConfigError

parts = st.from_regex(r"[a-z][a-z0-9_.-]{0,6}", fullmatch=True)
topics = st.lists(parts, min_size=1, max_size=5).map("/".join)


@given(topics)
def test_ordinary_names_are_topics_and_match_themselves(topic: str) -> None:
    assert check_topic(topic) == topic
    assert matches(topic, topic)
    assert matches("**", topic)
    assert matches("*", topic) == ("/" not in topic)


@given(topics, parts)
def test_two_stars_stand_for_any_number_of_parts(topic: str, part: str) -> None:
    assert matches(f"{topic}/**", topic)
    assert matches(f"{topic}/**", f"{topic}/{part}/x")
    assert matches(f"**/{part}", f"{topic}/{part}")
    assert not matches(f"{topic}/*", topic)


def slowly_matches(pattern: list[str], names: list[str]) -> bool:
    """Try all ways in which a pattern can be meant: what `matches` has to agree with."""
    if not pattern:
        return not names
    first, *rest = pattern
    if first == "**":
        return any(slowly_matches(rest, names[taken:]) for taken in range(len(names) + 1))
    return bool(names) and first in ("*", names[0]) and slowly_matches(rest, names[1:])


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=7),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=7),
)
def test_a_pattern_means_what_any_way_of_reading_it_means(
    pattern: list[str], names: list[str]
) -> None:
    assert matches("/".join(pattern), "/".join(names)) == slowly_matches(pattern, names)


def test_however_long_a_pattern_is_it_has_an_end() -> None:
    assert not matches("**/a/" * 30 + "b", "/".join("a" * 60))
    assert matches("**/" * 20_000 + "a", "a")


@pytest.mark.parametrize("name", ["", "/", "a//b", "a/", "a b", "a/*", "ä", "a/-b"])
def test_a_bad_name_is_shown_with_a_caret(name: str) -> None:
    with pytest.raises(ConfigError, match=r"\^"):
        check_topic(name)


def test_the_caret_stands_under_the_bad_part() -> None:
    with pytest.raises(ConfigError) as caught:
        check_topic("rover/b ad/x")
    lines = str(caught.value).splitlines()
    assert lines[2].index("^") == lines[1].index("b ad")


@pytest.mark.parametrize(
    ("name", "namespace", "remaps", "full"),
    [
        ("camera/image", "rover", {}, "rover/camera/image"),
        ("camera/image", "", {}, "camera/image"),
        ("/safety/state", "rover", {}, "safety/state"),
        ("camera/image", "rover", {"camera/image": "front/image"}, "rover/front/image"),
        ("camera/image", "rover", {"camera/image": "/other/image"}, "other/image"),
        ("@olympus/log", "rover", {}, "@olympus/log"),
    ],
)
def test_names_are_remapped_then_namespaced(
    name: str, namespace: str, remaps: dict[str, str], full: str
) -> None:
    assert resolve(name, namespace, remaps) == full
