"""`olympus ros2`: what a person types to look into a ROS graph, against a real other process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import OtherProcess

pytestmark = pytest.mark.e2e
OLYMPUS = Path(sys.executable).parent / "olympus"
Ros2 = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ros2(router: str) -> Ros2:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(OLYMPUS), "ros2", "--router", router, *words],
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return call


def test_a_graph_is_listed_and_heard(ros2: Ros2, other_process: OtherProcess) -> None:
    with other_process("jazzy", "talk", "serve"):
        assert json.loads(ros2("node", "list", "--json").stdout) == ["/other/robot"]
        rows = json.loads(ros2("topic", "list", "--json").stdout)
        assert rows == [
            {
                "topic": "/chatter",
                "type": "std_msgs/msg/String",
                "publishers": "1",
                "subscribers": "0",
            }
        ]
        heard = ros2("topic", "echo", "/chatter", "-n", "2", "--json")
        numbers = [int(json.loads(line)["data"].split()[1]) for line in heard.stdout.splitlines()]
        assert numbers[1] == numbers[0] + 1
        assert ros2("topic", "echo", "/chatter", "-n", "1").stdout.startswith("data: hello ")
        (end,) = json.loads(ros2("topic", "info", "/chatter", "--json").stdout)
        assert (end["node"], end["qos"]) == ("/other/robot", "::,10:,:,:,,")
        assert "/chatter" in ros2("node", "info", "other/robot").stdout
        assert "Hz; gaps" in ros2("topic", "hz", "/chatter", "-n", "1").stdout


def test_a_service_is_called(ros2: Ros2, other_process: OtherProcess) -> None:
    with other_process("jazzy", "serve"):
        (row,) = json.loads(ros2("service", "list", "--json").stdout)
        assert row["service"] == "/switch"
        answer = ros2("service", "call", "/switch", "{data: true}", "--json", "--timeout", "20")
        assert json.loads(answer.stdout) == {"success": True, "message": "1"}
        wrong = ros2("service", "call", "/switch", "{c: 1}", "--timeout", "20")
        assert wrong.returncode == 3
        assert "has no field 'c'" in wrong.stderr


def test_who_serves_a_service_or_an_action_is_shown(
    ros2: Ros2, other_process: OtherProcess
) -> None:
    with other_process("jazzy", "serve", "act"):
        (end,) = json.loads(ros2("service", "info", "/switch", "--json").stdout)
        assert (end["end"], end["node"]) == ("server", "/other/robot")
        assert (end["type"], end["hash"][:7]) == ("std_srvs/srv/SetBool", "RIHS01_")
        lost = ros2("service", "info", "/swich")
        assert lost.returncode == 4
        assert "did you mean '/switch'" in lost.stderr
        (served,) = json.loads(ros2("action", "list", "--json").stdout)
        (acts,) = json.loads(ros2("action", "info", "/navigate_to_pose", "--json").stdout)
        assert served["type"] == acts["type"] == "nav2_msgs/action/NavigateToPose"
        assert (acts["end"], acts["node"]) == ("server", "/other/robot")
        pose = "{pose: {pose: {position: {x: 1}}}}"
        goal = ros2("action", "send_goal", "/navigate_to_pose", pose, "--timeout", "20")
        assert goal.stdout.startswith("succeeded\n")


def test_definitions_of_the_users_own_go_between_two_processes(
    ros2: Ros2, other_process: OtherProcess, tmp_path: Path
) -> None:
    package = tmp_path / "my_msgs"
    for kind, file, text in (
        ("msg", "Thing.msg", "string name\nfloat64[] sizes\n"),
        ("srv", "Ask.srv", "Thing thing\n---\nbool ok\n"),
    ):
        (package / kind).mkdir(parents=True)
        (package / kind / file).write_text(text)
    folder = ("--interfaces", str(package))
    with other_process("jazzy", "mine", interfaces=[str(package)]):
        heard = ros2(*folder, "topic", "echo", "/thing", "-n", "1", "--json")
        assert json.loads(heard.stdout) == {"name": "key", "sizes": [1.5, 2.5]}
        for name, is_ok in (("key", True), ("lock", False)):
            asked = ros2(*folder, "service", "call", "/ask", f"{{thing: {{name: {name}}}}}",
                         "--json", "--timeout", "20")  # fmt: skip
            assert json.loads(asked.stdout) == {"ok": is_ok}
        unknown = ros2("topic", "echo", "/thing", "-n", "1")
        assert unknown.returncode == 3
        assert "my_msgs/msg/Thing" in unknown.stderr


def test_a_message_is_published(ros2: Ros2, other_process: OtherProcess) -> None:
    with other_process("jazzy", "echo"):
        sent = ros2(
            "topic", "pub", "/ping", "std_msgs/msg/String", "{data: hi}", "-n", "2", "-r", "50",
            "--timeout", "20",
        )  # fmt: skip
    assert sent.stdout == "published 2 on /ping\n"


def test_an_empty_graph_and_a_missing_router_are_said_so(ros2: Ros2) -> None:
    nobody = ros2("node", "list", "--timeout", "0.5")
    assert nobody.returncode == 4
    assert "nobody is in the graph" in nobody.stderr
    nothing = ros2("topic", "echo", "/nothing", "--timeout", "0.5")
    assert "nobody in the graph has /nothing" in nothing.stderr
    lost = ros2("--router", "tcp/127.0.0.1:9", "node", "list")
    assert lost.returncode == 4
    assert "rmw_zenohd" in lost.stderr


@pytest.mark.parametrize(
    ("words", "complaint", "code"),
    [
        (("--distro", "foxy", "node", "list"), "--distro 'foxy'", 2),
        (("topic", "echo", "a b"), "is no ROS name", 2),
        (("topic", "pub", "/a", "Strin"), "is no ROS type", 3),
        (("topic", "pub", "/a", "std_msgs/msg/String", "{data: [1}"), "is no YAML", 3),
        (("interface", "show", "std_msgs/msg/Strin"), "did you mean", 3),
    ],
)
def test_what_is_typed_wrong_is_named(
    ros2: Ros2, words: tuple[str, ...], complaint: str, code: int
) -> None:
    result = ros2(*words)
    assert complaint in result.stderr
    assert result.returncode == code


def test_an_interface_is_shown_with_its_hash(ros2: Ros2) -> None:
    shown = ros2("interface", "show", "std_msgs/String").stdout.splitlines()
    assert shown[0] == "string data"
    assert shown[-1].startswith("# RIHS01_df668c74")
    assert "nav2_msgs/action/NavigateToPose" in ros2("interface", "list").stdout
