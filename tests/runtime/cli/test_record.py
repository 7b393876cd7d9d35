"""`olympus record`: a running session into a file that ROS 2 tools read."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime.cli.conftest import OLYMPUS, environment

from olympus.runtime.bus.ros2.bags import read_bag
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.node.spec import NodeSpec

Olympus = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.e2e


def numbers(file: Path) -> list[float]:
    """Return what the counter said, in the order in which it was recorded."""
    codecs = Codecs(catalogue_of("jazzy"))
    found = [one for one in read_bag(file) if one.topic == "/rover/count"]
    return [codecs.get(one.type).decode(one.cdr).value for one in found]


def test_so_many_seconds_of_a_topic_are_a_file(olympus: Olympus, tmp_path: Path) -> None:
    file = tmp_path / "drive.mcap"
    words = ("record", str(file), "--format", "mcap", "--topics", "rover/count", "--duration", "1")
    done = olympus(*words)
    assert done.returncode == 0, done.stderr
    said = numbers(file)
    assert len(said) > 3
    assert said == [said[0] + n for n in range(len(said))]
    assert {one.topic for one in read_bag(file)} == {"/rover/count"}
    assert f"{len(said)} messages of 1 topics" in done.stdout
    assert [one.name for one in tmp_path.iterdir()] == ["drive.mcap"]
    again = olympus(*words)
    assert again.returncode == 8
    assert "is there already" in again.stderr


def test_a_type_that_only_a_node_of_the_session_defines_is_learnt_from_it(
    olympus: Olympus, tmp_path: Path
) -> None:
    file = tmp_path / "drive.mcap"
    words = ("--topics", "rover/oddity", "--duration", "1")
    done = olympus("record", str(file), *words)
    assert (done.returncode, "could not be said" in done.stderr) == (0, False), done.stderr
    found = list(read_bag(file))
    assert len(found) > 3
    assert {(one.topic, one.type) for one in found} == {
        ("/rover/oddity", "olympus_msgs/msg/Oddity")
    }


def test_a_type_that_can_not_be_learnt_is_told_and_nothing_is_no_file(
    olympus: Olympus, another_host: Callable[..., None], tmp_path: Path
) -> None:
    another_host("touchy", NodeSpec(name="touchy", uses="cli_touchy:Touchy", namespace="rover"))
    file = tmp_path / "drive.mcap"
    words = (str(file), "--topics", "rover/moods", "--duration", "1")
    done = olympus("record", *words)
    assert done.returncode == 8
    assert "only --as frames can write it: no module that this session names defines" in done.stderr
    assert "importing cli_touchy fails: RuntimeError: no such place for me (" in done.stderr
    assert "nothing of what came could be said --as ros2; no file is written" in done.stderr
    assert list(tmp_path.iterdir()) == []
    done = olympus("record", *words, "--as", "frames")
    assert done.returncode == 0, done.stderr
    assert file.exists()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_it_has_what_came_until_then(
    olympus: Olympus, run_root: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    file = tmp_path / "drive.mcap"
    with subprocess.Popen(
        [str(OLYMPUS), "record", str(file)],
        env=environment(run_root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "recording **; Ctrl-C ends it\n"
        assert olympus("topic", "echo", "rover/count", "-n", "5").returncode == 0
        process.send_signal(sign)
        process.communicate(timeout=50)
    said = numbers(file)
    assert said == [said[0] + n for n in range(len(said))]
    assert [one.name for one in tmp_path.iterdir()] == ["drive.mcap"]


def test_a_topic_on_which_nothing_comes_makes_no_file(olympus: Olympus, tmp_path: Path) -> None:
    done = olympus("record", str(tmp_path / "a.mcap"), "--topics", "no/such", "--duration", "0.3")
    assert done.returncode == 8
    assert "nothing came on no/such" in done.stderr
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_is_said_first(bare: Olympus, tmp_path: Path) -> None:
    done = bare("record", str(tmp_path / "nowhere" / "a.mcap"))
    assert done.returncode == 8
    assert "there is no folder" in done.stderr
