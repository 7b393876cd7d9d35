"""Type hashes: equal to those that a real ROS 2 Jazzy computed."""

import json
from pathlib import Path

import pytest

from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.rihs import type_hash

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "ros2"


def test_every_message_service_and_event_has_the_hash_of_a_real_jazzy(
    vectors: dict[str, dict[str, str]],
) -> None:
    catalogue = catalogue_of("jazzy")
    wanted = vectors["hashes"]
    assert len(wanted) == 195
    assert {name: type_hash(catalogue, name) for name in wanted} == wanted


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no vectors of a real Jazzy in {SHARED}")
def test_the_copy_of_the_hashes_is_what_the_real_jazzy_said(
    vectors: dict[str, dict[str, str]],
) -> None:
    assert json.loads((SHARED / "type_hashes.json").read_text()) == vectors["hashes"]


def test_a_bounded_field_has_another_hash() -> None:
    catalogue = catalogue_of("jazzy").copy()
    texts = ("string x", "string<=4 x", "string[] x", "string[4] x", "string[<=4] x", "string y")
    seen = set()
    for text in texts:
        catalogue.add("my_msgs/msg/Thing", text)
        seen.add(type_hash(catalogue, "my_msgs/msg/Thing"))
    assert len(seen) == len(texts)


def test_a_comment_a_constant_or_a_default_changes_no_hash() -> None:
    catalogue = catalogue_of("jazzy").copy()
    seen = set()
    for text in ("int32 x", "int32 A=1\nint32 x 5 # why"):
        catalogue.add("my_msgs/msg/Thing", text)
        seen.add(type_hash(catalogue, "my_msgs/msg/Thing"))
    assert len(seen) == 1
