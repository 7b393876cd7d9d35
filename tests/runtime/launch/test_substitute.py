"""Values put in."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from olympus.runtime.launch.document import Document
from olympus.runtime.launch.substitute import Early, finish, put_in, references

scalars: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(values)
def test_a_whole_reference_keeps_the_type(value: JsonValue) -> None:
    assert put_in("${x}", {"x": value}.__getitem__) == value


@given(st.text(alphabet="ab${}:,. "), st.text(alphabet="ab "))
def test_text_without_the_name_stays_as_it_is(text: str, name: str) -> None:
    assert put_in(text, dict[str, JsonValue]().__getitem__) == text


@given(values)
def test_nothing_to_put_in_changes_nothing(value: JsonValue) -> None:
    if not references(value) and "$${" not in str(value):
        early = Early(Document(Path("/x.yaml"), {}), {})
        if "./" not in str(value):
            assert finish(early.value(value, ()), {}) == value


@given(st.integers(), st.booleans())
def test_within_a_text_values_are_written_as_yaml_writes_them(number: int, flag: bool) -> None:
    table: dict[str, JsonValue] = {"n": number, "flag": flag, "none": None}
    text = put_in("a ${n} ${flag}${none}!", table.__getitem__)
    assert text == f"a {number} {'true' if flag else 'false'}!"


def test_late_names_wait_for_the_session() -> None:
    early = Early(Document(Path("/x.yaml"), {}), {"room": "lab"})
    text = early.value("${room} at ${session.run_dir}", ())
    assert text == "lab at ${session.run_dir}"
    assert finish(text, {"session.run_dir": "/run/x"}) == "lab at /run/x"


def test_references_are_found_anywhere() -> None:
    assert references({"a": ["${x} ${ y }", {"b": "${z}"}], "c": "$${no}"}) == {"x", "y", "z"}
