"""YAML with lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.document import parse, parse_value, read

FILE = Path("/robot/patrol.yaml")


def test_every_key_and_item_knows_its_line() -> None:
    document = parse("nodes:\n  camera:\n    depends_on:\n      - world\n", FILE)
    assert document.where(("nodes", "camera", "depends_on", 0)) == "/robot/patrol.yaml:4"
    assert document.where(("nodes", "camera", "missing", 7)) == "/robot/patrol.yaml:2"


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    with pytest.raises(LaunchError, match=r"patrol.yaml:2: the key 'name' stands here twice"):
        parse("name: a\nname: b\n", FILE)


def test_merge_keys_and_aliases_work_and_own_keys_win() -> None:
    text = "base: &b {x: 1, y: 2}\none:\n  <<: *b\n  y: 3\ntwo: &t\n  <<: *b\n  x: 9\nthree: *t\n"
    data = parse(text, FILE).data
    assert data["one"] == {"x": 1, "y": 3}
    assert data["two"] == data["three"] == {"x": 9, "y": 2}


def test_an_alias_that_contains_itself_is_refused() -> None:
    with pytest.raises(LaunchError, match="contains itself"):
        parse("a: &a\n  b: *a\n", FILE)


def test_aliases_of_aliases_are_refused_before_they_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        inner = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{inner}]")
    with pytest.raises(LaunchError, match=r"patrol.yaml:1: more than 200000 values"):
        parse("\n".join(lines), FILE)


@pytest.mark.parametrize("size", ["endless", "huge"])
def test_what_is_too_large_is_refused_unread(size: str, tmp_path: Path) -> None:
    file = Path("/dev/zero")
    if size == "huge":
        file = tmp_path / "huge.yaml"
        file.write_text("# " + "x" * 50_000_000)
    with pytest.raises(LaunchError, match="is larger than 4 MiB; is it a launch file"):
        read(file)


def test_broken_yaml_names_file_line_and_the_flow_pitfall() -> None:
    with pytest.raises(LaunchError, match=r"patrol.yaml:1: no valid YAML.*put quotes around"):
        parse("node: {speed: ${speed}, x: [}\n", FILE)


def test_a_date_stays_a_text_and_a_key_that_looks_like_a_truth_value_stays_a_word() -> None:
    assert parse("on: 2024-05-01\n", FILE).data == {"on": "2024-05-01"}


def test_an_empty_file_is_an_empty_mapping_and_a_list_is_refused() -> None:
    assert parse("# nothing\n", FILE).data == {}
    with pytest.raises(LaunchError, match="must be a mapping"):
        parse("- a\n", FILE)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(LaunchError, match=r"/nowhere/x.yaml does not exist"):
        read(Path("/nowhere/x.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.4", 0.4),
        ("7", 7),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("sim://front", "sim://front"),
        ("", None),
        ("{broken", "{broken"),
        ("gst:videotestsrc ! x: y", "gst:videotestsrc ! x: y"),
    ],
)
def test_a_typed_value_is_read_as_yaml(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(LaunchError, match=r"patrol\.yaml: is nested too deeply"):
        parse("nodes: " + "[" * 5000, FILE)
    deep = "[" * 5000
    assert parse_value(deep) == deep
