"""The wire of rmw_zenoh: keys, tokens, ids and attachments as its sources say."""

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.bus.ros2.names import check_topic, dds_type, ros_name, split_node, type_of_dds
from olympus.runtime.bus.ros2.qos import (
    DEFAULT,
    LATCHED,
    SENSOR_DATA,
    Durability,
    History,
    Reliability,
    RosQos,
    profile,
)
from olympus.runtime.bus.ros2.wire import (
    BACKENDS,
    Attachment,
    RosEntity,
    entity_of,
    read_attachment,
)
from olympus.runtime.errors import ConfigError, MessageError

HASH = "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"


def entity(kind: str = "MP", **changes: object) -> RosEntity:
    fields: dict[str, object] = {
        "kind": kind,
        "domain": 0,
        "session": "aac3178e146ba6f1fc6e6a4085e77f21",
        "node_id": 0,
        "entity_id": 10,
        "namespace": "/",
        "node": "listener",
        "topic": "/chatter",
        "type": "std_msgs/msg/String",
        "hash": HASH,
        "qos": DEFAULT,
    }
    return RosEntity(**(fields | changes))  # type: ignore[arg-type]


def test_a_key_is_domain_topic_type_and_hash() -> None:
    assert entity().key == f"0/chatter/std_msgs::msg::dds_::String_/{HASH}"
    assert entity(topic="/rover/a/b", domain=7).key.startswith("7/rover/a/b/")


def test_a_token_is_written_as_rmw_zenoh_writes_it() -> None:
    assert entity(kind="MS").token == (
        "@ros2_lv/0/aac3178e146ba6f1fc6e6a4085e77f21/0/10/MS/%/%/listener/%chatter/"
        f"std_msgs::msg::dds_::String_/{HASH}/::,10:,:,:,,"
    )
    assert entity("NN", namespace="/rover", entity_id=0).token == (
        "@ros2_lv/0/aac3178e146ba6f1fc6e6a4085e77f21/0/0/NN/%/%rover/listener"
    )


def test_the_id_of_a_publisher_is_the_hash_of_its_token() -> None:
    whole = xxhash.xxh3_128_intdigest(entity().token.encode())
    low, high = whole & (2**64 - 1), whole >> 64
    assert entity().gid == low.to_bytes(8, "little") + high.to_bytes(8, "little")
    assert len({entity(entity_id=n).gid for n in range(100)}) == 100


@pytest.mark.parametrize(
    ("qos", "text"),
    [
        (DEFAULT, "::,10:,:,:,,"),
        (SENSOR_DATA, "2::,5:,:,:,,"),
        (LATCHED, ":1:,1:,:,:,,"),
        (RosQos(durability=Durability.TRANSIENT_LOCAL, depth=5), ":1:,5:,:,:,,"),
        (RosQos(depth=42), "::,:,:,:,,"),
        (RosQos(history=History.KEEP_ALL), "::2,10:,:,:,,"),
    ],
)
def test_a_quality_of_service_leaves_out_what_is_usual(qos: RosQos, text: str) -> None:
    assert qos.text == text
    assert RosQos.parse(text) == qos


@pytest.mark.parametrize("text", ["", "::", "9::,10:,:,:,,", "::,x:,:,:,,"])
def test_nonsense_is_no_quality_of_service(text: str) -> None:
    with pytest.raises(MessageError, match="no quality of service"):
        RosQos.parse(text)


def test_only_reliable_with_all_history_makes_a_publisher_wait() -> None:
    assert RosQos(history=History.KEEP_ALL).is_blocking
    assert not DEFAULT.is_blocking
    assert not RosQos(Reliability.BEST_EFFORT, history=History.KEEP_ALL).is_blocking


def test_an_unknown_profile_comes_with_the_known() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sensor_data'"):
        profile("sensor")


names = st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z")


@given(
    kind=st.sampled_from(["NN", "MP", "MS", "SS", "SC"]),
    node=names,
    parts=st.lists(names, min_size=1, max_size=4),
    numbers=st.tuples(st.integers(0, 232), st.integers(0, 999), st.integers(0, 999)),
    qos=st.builds(RosQos, st.sampled_from(Reliability), depth=st.integers(1, 2000)),
    backends=st.sampled_from(["", BACKENDS]),
)
def test_a_token_says_everything_about_its_entity(
    kind: str,
    node: str,
    parts: list[str],
    numbers: tuple[int, int, int],
    qos: RosQos,
    backends: str,
) -> None:
    one = entity(
        kind,
        node=node,
        domain=numbers[0],
        node_id=numbers[1],
        entity_id=numbers[2],
        namespace="/" + "/".join(parts[1:]),
        topic="/" + "/".join(parts),
        qos=qos,
        backends=backends,
    )
    read = entity_of(one.token)
    assert read is not None
    assert read.token == one.token
    if kind != "NN":
        assert read == one


def test_a_node_may_have_any_text_for_a_number() -> None:
    one = entity_of("@ros2_lv/0/ae68f531c50dab76/dora_robot/1/NN/%/%dora/dora_robot")
    assert one is not None
    assert (one.node_id, one.full_node) == ("dora_robot", "/dora/dora_robot")


@pytest.mark.parametrize(
    "key", ["", "@ros2_lv", "@ros2_lv/0/z/0/1/XX/%/%/n", "@ros2_lv/a/z/0/1/NN/%/%/n", "x/y/z"]
)
def test_a_key_that_is_no_token_says_nothing(key: str) -> None:
    assert entity_of(key) is None


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(min_size=16, max_size=16),
)
def test_an_attachment_has_33_bytes_and_comes_back(seq: int, stamp_ns: int, gid: bytes) -> None:
    one = Attachment(seq, stamp_ns, gid)
    assert len(one.to_bytes()) == 33
    assert read_attachment(one.to_bytes()) == one


def test_other_bytes_are_no_attachment() -> None:
    for raw in (b"", bytes(33), bytes(34), Attachment(1, 1, bytes(16)).to_bytes()[:-1]):
        with pytest.raises(MessageError, match=r"rmw_zenoh's has (33|16)"):
            read_attachment(raw)


def test_names_are_made_fit_for_ros() -> None:
    assert ros_name("rover/camera-2") == "/rover/camera_2"
    assert ros_name("rover/2/x.y") == "/rover/_2/x_y"
    assert split_node("rover/left/camera") == ("/rover/left", "camera")
    assert split_node("camera") == ("/", "camera")
    assert check_topic("cmd_vel/") == "/cmd_vel"
    for wrong in ("", "/", "a b", "/1/x", "a//b", "ä"):
        with pytest.raises(ConfigError, match="no ROS name"):
            check_topic(wrong)


def test_a_type_is_named_as_dds_names_it() -> None:
    name = "nav2_msgs/action/NavigateToPose_SendGoal"
    assert dds_type(name) == "nav2_msgs::action::dds_::NavigateToPose_SendGoal_"
    assert type_of_dds(dds_type(name)) == name
    assert type_of_dds("something") == "something"
