"""Definitions that travel with a bag: what only its robot knows, and what a stranger may send."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from olympus.runtime.bus.ros2.bags import as_messages, read_bag
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.idl import parse_idl
from olympus.runtime.bus.ros2.mapping import Mapper
from olympus.runtime.bus.ros2.rihs import type_hash
from olympus.runtime.bus.ros2.travelling import MAX_TEXT, BagTypes, Told
from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.messages import RosValue, Text
from olympus.runtime.store import StreamStore
from olympus.runtime.store.mcap import export_mcap, import_bag

BEGAN = 1_700_000_000_000_000_000
THING = "gripper_msgs/msg/Grip"
GRIP = """
# how a gripper holds
uint8 OPEN=0
uint8 CLOSED=1
std_msgs/Header header
uint8 state
string<=20 name
float32[3] force
Finger[<=4] fingers
string[] seen
float64[] angles
"""
FINGER = "int32 number 7\nbool touches\n"
IDL = f"""{"=" * 80}
IDL: gripper_msgs/msg/Grip
#include "std_msgs/msg/Header.idl"
module gripper_msgs {{
  module msg {{
    typedef float float__3[3];
    module Grip_Constants {{
      @verbatim (language="comment", text="it is ; {{ open" "\\n")
      const uint8 OPEN = 0;
      const uint8 CLOSED = 1;
    }};
    @verbatim (language="comment", text=
      "how a gripper holds")
    struct Grip {{
      std_msgs::msg::Header header;
      uint8 state;
      @unit (value="none") string<20> name;
      float__3 force;
      sequence<gripper_msgs::msg::Finger, 4> fingers;
      sequence<string> seen;
      sequence<double> angles;  // rad
    }};
  }};
}};
{"=" * 80}
IDL: gripper_msgs/msg/Finger
module gripper_msgs {{ module msg {{ struct Finger {{
  @default (value=7)
  int32 number;
  boolean touches;
}}; }}; }};
"""


def their_types() -> Any:
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(
        get_types_from_msg(GRIP, THING) | get_types_from_msg(FINGER, "gripper_msgs/msg/Finger")
    )
    return types


def grip(types: Any) -> Any:
    made = types.types
    stamp = made["builtin_interfaces/msg/Time"](sec=BEGAN // 10**9, nanosec=5)
    finger = made["gripper_msgs/msg/Finger"]
    return made[THING](
        header=made["std_msgs/msg/Header"](stamp=stamp, frame_id="hand"),
        state=1,
        name="left",
        force=np.array([1, 2, 3], np.float32),
        fingers=[finger(number=3, touches=True), finger(number=4, touches=False)],
        seen=["cup", "lid"],
        angles=np.array([0.5, -0.5]),
    )


def types_of(mapper: Mapper | None = None) -> BagTypes:
    return BagTypes(mapper or Mapper(Codecs(catalogue_of("jazzy"))))


def told(text: str, encoding: str = "ros2msg", hash_: str = "") -> Told:
    return Told(encoding, text.encode(), hash_)


@pytest.fixture(params=list(StoragePlugin), ids=lambda one: one.name)
def bag(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A bag that another program wrote: a type of its robot, a standard one, and one it forgot."""
    types = their_types()
    text = types.types["std_msgs/msg/String"](data="hello")
    with Writer(tmp_path / "bag", version=9, storage_plugin=request.param) as made:
        hand = made.add_connection("/hand/grip", THING, typestore=types)
        chat = made.add_connection("/chatter", "std_msgs/msg/String", typestore=types)
        lost = made.add_connection("/lost", "lost_msgs/msg/Lost", msgdef="", rihs01="RIHS01_0")
        made.write(hand, BEGAN, types.serialize_cdr(grip(types), THING))
        made.write(chat, BEGAN + 1, types.serialize_cdr(text, "std_msgs/msg/String"))
        made.write(lost, BEGAN + 2, b"\0\1\0\0\1\0\0\0")
    return tmp_path / "bag"


def test_a_type_that_only_the_bag_knows_is_read(bag: Path, tmp_path: Path) -> None:
    with StreamStore(tmp_path / "store", is_durable=False) as store:
        done = import_bag(bag, store)
        (value,) = store.read("hand/grip")
        (text,) = store.read("chatter")
    assert isinstance(value, RosValue)
    assert (value.type, value.header.source) == (THING, "bag/hand/grip")
    assert isinstance(text, Text)
    assert done.messages == {"hand/grip": 1, "chatter": 1}
    types, (one, *_) = types_of(), read_bag(bag)
    read = types.get(one.type, one.told).codec.decode(value.cdr.tobytes())
    assert (read.state, read.name, read.CLOSED, list(read.force)) == (1, "left", 1, [1, 2, 3])
    assert [(f.number, f.touches) for f in read.fingers] == [(3, True), (4, False)]
    assert (read.seen, list(read.angles)) == (["cup", "lid"], [0.5, -0.5])
    assert read.header.frame_id == "hand"


def test_who_has_no_definition_is_named_with_the_way_out(bag: Path, tmp_path: Path) -> None:
    with StreamStore(tmp_path / "store", is_durable=False) as store:
        done = import_bag(bag, store)
    ((reason, count),) = done.refused.items()
    assert count == 1
    assert reason.startswith("lost: ")
    assert "lost_msgs/msg/Lost" in reason
    assert "--interfaces" in reason


def test_its_definition_stays_in_the_store_and_goes_out_again(bag: Path, tmp_path: Path) -> None:
    with StreamStore(tmp_path / "store", is_durable=False) as store:
        import_bag(bag, store)
        done = export_mcap(store, tmp_path / "again.mcap")
    assert not done.refused
    first = next(one for one in read_bag(bag) if one.type == THING)
    again = next(one for one in read_bag(tmp_path / "again.mcap") if one.type == THING)
    assert again.cdr == first.cdr
    assert again.told.hash == types_of().get(THING, first.told).codec.hash
    with StreamStore(tmp_path / "other", is_durable=False) as store:
        assert import_bag(tmp_path / "again.mcap", store).messages["hand/grip"] == 1


def test_all_messages_of_a_bag_become_ours_or_say_why(bag: Path) -> None:
    mapper = Mapper(Codecs(catalogue_of("jazzy")))
    found: Iterator[tuple[str, Any]] = as_messages(read_bag(bag), mapper)
    kinds = {topic: type(one) for topic, one in found}
    assert kinds == {"hand/grip": RosValue, "chatter": Text, "lost": MessageError}


def test_idl_and_msg_say_the_same() -> None:
    types = their_types()
    text, _ = types.generate_msgdef(THING, ros_version=2)
    by_msg = types_of().get(THING, told(text)).codec
    by_idl = types_of().get(THING, told(IDL, "ros2idl")).codec
    assert by_msg.hash == by_idl.hash == types.hash_rihs01(THING)
    cdr = bytes(types.serialize_cdr(grip(types), THING))
    assert by_idl.decode(cdr).fingers[0].number == 3
    assert by_idl.encode(by_idl.decode(cdr)) == cdr


def test_idl_is_read_as_another_reader_reads_it() -> None:
    text = """
    module a { module msg {
      const long SIZE = 3;
      typedef unsigned long long big__2[2];
      /* a struct { */ struct All {
        boolean b; octet o; float f; double d, e; short s; unsigned short us; long l;
        unsigned long ul; long long ll; unsigned long long ull; int8 i8; uint8 u8;
        string text; string<5> few; sequence<octet> bytes; sequence<string<4>, 3> names;
        big__2 numbers; double here[4]; a::msg::Inner inner;
        sequence<a::msg::Inner> inners;
      };
      struct Inner { int16 x; };
    }; };
    """
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_idl(text))
    catalogue = catalogue_of("jazzy").copy()
    for one in parse_idl(text):
        catalogue.put(one)
    assert type_hash(catalogue, "a/msg/All") == store.hash_rihs01("a/msg/All")


def test_a_text_that_is_not_what_the_messages_had_is_refused() -> None:
    wrong = told("int32 x", hash_="RIHS01_" + "0" * 64)
    with pytest.raises(MessageError, match="was of another definition") as caught:
        types_of().get("a/msg/A", wrong)
    assert "--interfaces" in str(caught.value)


def test_a_known_type_that_the_bag_defines_otherwise_is_read_as_the_bag_says() -> None:
    found = types_of().get("std_msgs/msg/String", told("string data\nint32 more"))
    assert found.text
    assert found.codec.decode(b"\0\1\0\0\2\0\0\0a\0\0\0\5\0\0\0").more == 5
    same = types_of().get("std_msgs/msg/String", told("# so it is\nstring   data # text"))
    assert not same.text


CHAIN = "A0 a\n" + "".join(
    f"{'=' * 80}\nMSG: a/A{n}\n{'int8 x' if n == 99 else f'A{n + 1} a'}\n" for n in range(100)
)
WIDE = "A0 a\n" + "".join(
    f"{'=' * 80}\nMSG: a/A{n}\n" + ("int8 x\n" if n == 30 else f"A{n + 1} a\nA{n + 1} b\n")
    for n in range(31)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Root inner", "holds itself"),
        (f"B b\n{'=' * 80}\nMSG: a/B\nRoot[] root", "holds itself"),
        (CHAIN, "deep"),
        (WIDE, "more than 10000 fields"),
        ("int8 x\n" * 10, "stands there twice"),
        ("".join(f"int8 x{n}\n" for n in range(20_000)), "more than 10000 fields"),
        ("x" * (MAX_TEXT + 1), "are allowed"),
        ("int8[99999999999999999999] x", "is no type"),
        (f"int8[{'9' * 5000}] x", "is no type"),
        ("int8 x\n???", "is no 'type name'"),
        ("int32[] x 5", "is no list of values"),
        (f"int32[] x {'[' * 2000}", "is no list of values"),
        (f'string x "{"[" * 300_00}', "is no string"),
        ("int8 aé", "is no name of a field"),
        ("int8 class_\nint8 b", "is no name of a field"),
        ("wstring x", "wstring is not read"),
        ("Unknown x", "a/msg/Unknown is not defined"),
    ],
)
def test_what_is_hostile_or_wrong_is_refused_at_once(text: str, why: str) -> None:
    began = time.process_time()
    with pytest.raises(MessageError) as caught:
        types_of().get("a/msg/Root", told(text))
    assert why in str(caught.value)
    assert "a/msg/Root" in str(caught.value)
    assert "--interfaces" in str(caught.value)
    assert len(str(caught.value)) < 400
    assert time.process_time() - began < 60


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("module a {" * 50, "modules in each other"),
        ("/* " * 80_000, "a/msg/Root is not defined"),
        ('"\\' * 100_000, "is not read here"),
        ("module a { module msg { struct Root { sequence<sequence<long> > x; }; }; };", "none"),
        ("module a { module msg { struct Root { long x[0]; }; }; };", "array of nothing"),
        ("module a { module msg { struct Root { long x[2][2]; }; }; };", "is needed"),
        ("module a { module msg { enum E { A }; }; };", "'enum' is not read here"),
        ("module a { module msg { struct Root { long x; ", "ends within"),
        ("module a { module msg { struct Root { a::msg::Root r; }; }; };", "holds itself"),
        ("module a { module msg { struct Root { long class_; }; }; };", "no name of a field"),
        ("sequence<" * 20_000, "is not read here"),
        ("module a { module msg { struct Root { \x1c x; }; }; };", "is no ROS type"),
    ],
)
def test_hostile_idl_is_refused_at_once(text: str, why: str) -> None:
    with pytest.raises(MessageError) as caught:
        types_of().get("a/msg/Root", told(text, "ros2idl"))
    assert why in str(caught.value)


def test_definitions_of_one_bag_are_bounded_together() -> None:
    types = types_of()
    text = told("int8 x\n" + "#" * (MAX_TEXT - 8))
    refused = list[str]()
    for n in range(40):
        try:
            types.get(f"a/msg/A{n}", text)
        except MessageError as error:
            refused.append(str(error))
    assert len(refused) == 8
    assert all("in one bag" in one for one in refused)


@pytest.mark.parametrize("words", ["self", "class", "None", "np", "new0", "Record", "v", "b", "p"])
def test_names_that_mean_something_in_python_are_but_names(words: str) -> None:
    constant = "" if words.islower() else f"uint8 {words}=3\n"
    codec = types_of().get("a/msg/None", told(f"{constant}int8 {words}_1\nint8 {words}")).codec
    assert codec.encode(codec.decode(b"\0\1\0\0\1\2")) == b"\0\1\0\0\1\2"


def test_one_hostile_type_leaves_the_other_topics(tmp_path: Path) -> None:
    file = tmp_path / "x.mcap"
    with file.open("wb") as stream:
        writer = McapWriter(stream)
        writer.start("ros2")
        for n, (name, text) in enumerate([("a/msg/A", "A a"), ("a/msg/B", "int32 x")]):
            schema = writer.register_schema(name, "ros2msg", text.encode())
            channel = writer.register_channel(f"/{name[-1]}", "cdr", schema)
            for _ in range(3):
                writer.add_message(channel, BEGAN + n, b"\0\1\0\0\1\0\0\0", BEGAN)
        writer.finish()  # type: ignore[no-untyped-call]
    with StreamStore(tmp_path / "s", is_durable=False) as store:
        done = import_bag(file, store)
    assert done.messages == {"B": 3}
    ((reason, count),) = done.refused.items()
    assert (count, "A: the bag's definition of a/msg/A" in reason) == (3, True)


def test_two_bags_that_mean_different_things_by_a_name_are_not_mixed(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", is_durable=False) as store:
        for number, text in enumerate(("int32 x", "float32 y")):
            file = tmp_path / f"{number}.mcap"
            with file.open("wb") as stream:
                writer = McapWriter(stream)
                writer.start("ros2")
                schema = writer.register_schema("a/msg/A", "ros2msg", text.encode())
                channel = writer.register_channel("/a", "cdr", schema)
                writer.add_message(channel, BEGAN + number, b"\0\1\0\0\1\0\0\0", BEGAN)
                writer.finish()  # type: ignore[no-untyped-call]
            assert import_bag(file, store).messages == {"a": 1}
        with pytest.raises(StoreError, match="not the same in all bags"):
            export_mcap(store, tmp_path / "out.mcap")


@pytest.mark.e2e
def test_a_bag_is_played_in_the_graph_by_its_own_definitions(bag: Path, router: str) -> None:
    olympus = str(Path(sys.executable).parent / "olympus")
    done = subprocess.run(
        [olympus, "ros2", "--router", router, "bag", "play", str(bag), "--wait", "0"],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.stdout == "played 2 messages\n", done.stderr
    assert done.stderr.startswith("1 not played: /lost: ")
    assert "--interfaces" in done.stderr
