"""What is odd about the topics between nodes."""

from __future__ import annotations

from olympus.runtime.launch.findings import Finding, wiring


def test_loose_ends_and_differing_types_are_told() -> None:
    findings = [
        Finding(id="a", outputs={"x": "Twist", "y": "Image", "z": "Log"}, inputs={"q": "Log"}),
        Finding(id="b", inputs={"x": "Image", "z": "Log", "all/*": "Message"}),
    ]
    assert wiring(findings) == [
        "q: nobody here publishes (heard by a)",
        "x: types differ: Image, Twist",
        "y: nobody here listens (from a)",
    ]


def test_a_topic_that_a_viewer_s_params_name_is_no_loose_end() -> None:
    node = Finding(id="drive", outputs={"rover/battery": "Battery", "rover/imu": "Imu"})
    viewer = Finding(id="viewer", named=["battery", "rover/battery", "rover/*"])
    assert wiring([node, viewer]) == []


def test_a_node_left_out_of_the_namespace_is_told_the_topic_it_misses() -> None:
    sender = Finding(id="percepts", outputs={"rover/percepts": "Percept"})
    shy = Finding(id="shy", inputs={"percepts": "Percept"})
    assert (
        "percepts: nobody here publishes (heard by shy); did you mean 'rover/percepts'? "
        "(remaps, namespace)"
    ) in wiring([sender, shy])


def test_what_a_node_does_well_without_is_missed_only_by_those_that_need_it() -> None:
    fence = Finding(id="fence", inputs={"pose": "Pose"}, optional=["pose"])
    other = Finding(id="other", inputs={"pose": "Pose"})
    assert wiring([fence]) == []
    assert wiring([fence, other]) == ["pose: nobody here publishes (heard by fence, other)"]
