"""Definitions: what `.msg`, `.srv` and `.action` text means."""

from pathlib import Path

import pytest

from olympus.runtime.bus.ros2.catalogue import Catalogue, catalogue_of
from olympus.runtime.bus.ros2.definitions import check_type_name, parse
from olympus.runtime.errors import ConfigError, MessageError


def test_fields_constants_and_defaults_are_read() -> None:
    text = """# a comment
    int32 FAR=-7  # another
    string SIGN = "#"
    geometry_msgs/Point[<=3] corners
    string<=8 name "a # b"
    float64[2] pair [1.0, 2.5]
    Header header
    bool on true"""
    (made,) = parse("my_msgs/msg/Thing", text)
    assert [(c.name, c.value) for c in made.constants] == [("FAR", -7), ("SIGN", "#")]
    assert [(f.name, str(f.type), f.default) for f in made.fields] == [
        ("corners", "geometry_msgs/Point[<=3]", None),
        ("name", "string<=8", "a # b"),
        ("pair", "float64[2]", [1.0, 2.5]),
        ("header", "std_msgs/Header", None),
        ("on", "bool", True),
    ]


def test_a_definition_written_out_and_read_again_is_the_same() -> None:
    catalogue = catalogue_of("jazzy")
    for name in catalogue.names():
        if "/msg/" in name:
            definition = catalogue.get(name)
            assert parse(name, definition.text) == [definition]


def test_a_message_without_fields_gets_the_one_that_ros_gives_it() -> None:
    (made,) = parse("std_msgs/msg/Empty", "# nothing\n")
    assert [f.name for f in made.fields] == ["structure_needs_at_least_one_member"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("int32", "is no 'type name'"),
        ("int32[ x", "is no 'type name'"),
        ("int32 x\nint32 x", "stands there twice"),
        ("int32 X=abc", "is no int32"),
        ("a/b/c/D x", "is no ROS type"),
        ("float64[2] x [1.0", "is no list of values"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(text: str, complaint: str) -> None:
    with pytest.raises(MessageError, match=r"my_msgs/msg/Thing|is no ROS type") as refusal:
        parse("my_msgs/msg/Thing", text)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize("name", ["String", "std_msgs/msg/string", "a b/msg/C", "a/b/c/d", ""])
def test_a_name_that_is_no_ros_type_is_refused(name: str) -> None:
    with pytest.raises(MessageError, match="is no ROS type"):
        check_type_name(name)


def test_a_service_with_one_part_is_refused() -> None:
    with pytest.raises(MessageError, match="2 parts between lines '---', not 1"):
        parse("my_msgs/srv/Ask", "int32 x")


def test_a_message_that_holds_itself_is_refused() -> None:
    catalogue = Catalogue()
    catalogue.add("a/msg/A", "B b")
    catalogue.add("a/msg/B", "A[] a")
    with pytest.raises(MessageError, match="holds itself"):
        catalogue.parts("a/msg/A")


def test_an_unknown_type_comes_with_the_nearest_known() -> None:
    with pytest.raises(MessageError, match="did you mean 'sensor_msgs/msg/Image'"):
        catalogue_of("jazzy").get("sensor_msgs/msg/Imagee")


def test_a_users_package_is_read_from_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my_msgs"
    (folder / "msg").mkdir(parents=True)
    (folder / "srv").mkdir()
    (folder / "msg" / "Thing.msg").write_text("string label\nThing2[] more\n")
    (folder / "msg" / "Thing2.msg").write_text("uint8 x\n")
    (folder / "srv" / "Ask.srv").write_text("Thing thing\n---\nbool ok\n")
    catalogue = catalogue_of("jazzy", [tmp_path])
    assert [one.name for one in catalogue.parts("my_msgs/Thing")] == [
        "my_msgs/msg/Thing",
        "my_msgs/msg/Thing2",
    ]
    assert "my_msgs/srv/Ask" in catalogue.services()


def test_an_empty_folder_of_interfaces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the folder of a ROS interface package"):
        catalogue_of("jazzy", [tmp_path])


def test_an_unknown_distribution_comes_with_the_known() -> None:
    with pytest.raises(ConfigError, match="did you mean 'jazzy'"):
        catalogue_of("jazy")


def test_humble_has_a_range_without_variance() -> None:
    fields = {d: catalogue_of(d).get("sensor_msgs/msg/Range").fields for d in ("humble", "jazzy")}
    assert len(fields["jazzy"]) == len(fields["humble"]) + 1


def test_a_schema_names_every_message_that_is_held() -> None:
    text = catalogue_of("jazzy").schema_text("geometry_msgs/msg/PoseStamped")
    assert [line for line in text.splitlines() if line.startswith("MSG: ")] == [
        "MSG: std_msgs/Header",
        "MSG: builtin_interfaces/Time",
        "MSG: geometry_msgs/Pose",
        "MSG: geometry_msgs/Point",
        "MSG: geometry_msgs/Quaternion",
    ]
