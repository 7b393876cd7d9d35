"""Whom the viewer tells what an operator says."""

from olympus.nodes.viewer.desk import taker
from olympus.runtime.bus import Entity


def service(topic: str, type_: str = "olympus/Command") -> Entity:
    return Entity("srv", "control", topic.rpartition("/")[0], topic, type_)


def test_the_one_service_that_takes_commands_is_asked() -> None:
    graph = [service("rover/navigator/say"), service("rover/drive/param/list", "olympus/Empty")]
    assert taker(graph, "rover") == "rover/navigator/say"
    assert taker(graph, "") == "rover/navigator/say"


def test_of_two_robots_the_viewer_s_own_is_asked() -> None:
    graph = [service("left/navigator/say"), service("right/navigator/say")]
    assert taker(graph, "right") == "right/navigator/say"
    assert taker(graph, "") is None


def test_without_such_a_service_nobody_is_asked() -> None:
    assert taker([Entity("sub", "a", "a", "rover/command", "olympus/Command")], "rover") is None
