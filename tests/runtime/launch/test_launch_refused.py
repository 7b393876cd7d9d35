"""A launch that can't be: what is wrong is named with the way out, and nothing is left of it."""

from __future__ import annotations

import shlex
import socket
import subprocess
from pathlib import Path

import pytest
from tests.runtime.launch.conftest import ROBOT, Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
PATROL = Path(__file__).resolve().parents[3] / "launch" / "patrol.yaml"
STUCK = """
import time
from olympus.runtime.node import Node

class Stuck(Node):
    def __init__(self, context):
        time.sleep(600)
"""


def test_a_node_that_cannot_start_is_named_with_its_reason(site: Site) -> None:
    done = site.run("launch", "robot.yaml", "second.is_broken:=true")
    assert done.returncode != 0
    (told,) = [line for line in done.stderr.splitlines() if "change the bulb" in line]
    assert told == "olympus: host 'two': rover/second: the lamp is broken; change the bulb"
    assert "signal wakeup fd" not in done.stdout + done.stderr
    assert site.marked() == []


@pytest.mark.parametrize("place", ["constructor", "import"])
def test_a_node_that_never_comes_to_life_is_named_with_the_way_out(site: Site, place: str) -> None:
    text = STUCK if place == "constructor" else "import time\ntime.sleep(600)\n" + STUCK
    (site.folder / "stuck_node.py").write_text(text)
    (site.folder / "robot.yaml").write_text(
        "nodes:\n  first: {uses: 'lamp_node:Lamp', host: one}\n"
        "  last: {uses: 'stuck_node:Stuck', host: late}\n"
        "hosts:\n  late: {ready_timeout_s: 3}\n"
    )
    words = ["--no-import"] if place == "import" else []
    done = site.run("launch", "robot.yaml", *words)
    assert done.returncode == 2
    told = "olympus: host 'late': not ready after 3 s; not active: last; what takes so long?"
    assert told in done.stderr
    assert "ready_timeout_s" in done.stderr
    assert "Traceback" not in done.stderr
    assert site.marked() == []


@pytest.mark.parametrize("size_kb", [4, 16])
def test_a_run_folder_without_room_is_named(site: Site, size_kb: int) -> None:
    apart = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    small = f"mkdir small && mount -t tmpfs -o size={size_kb}k tmpfs small"
    if subprocess.run([*apart, small], cwd=site.folder, check=False).returncode:
        pytest.skip("this machine gives no mount namespace (unshare)")
    (site.folder / "small").rmdir()
    launch = shlex.join(site.command("launch", "robot.yaml", "--duration", "1"))
    done = subprocess.run(
        [*apart, f"{small} && {launch}"],
        cwd=site.folder,
        env={**site.environment, "XDG_RUNTIME_DIR": str(site.folder / "small")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert "room" in done.stderr
    assert "set XDG_RUNTIME_DIR" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("node", ["detector", "listener"])
def test_a_model_that_is_nowhere_is_refused_before_anything_starts(site: Site, node: str) -> None:
    done = site.run("check", str(PATROL), f"{node}.model:=nosuch")
    assert done.returncode == 2
    assert f"{node}: model 'nosuch' is not known and is no path to a manifest;" in done.stdout
    assert "known: person-obstacle, planner, sound-events" in done.stdout
    assert "would start" not in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scale", "6"], "name it: --board"),  # it would have looked at nothing, and said well
        (["--profiles", "toy.yaml"], "name it: --board"),
        (["--board", ""], "--board names no board"),
        (["--board", "x86-64", "--scale", "inf"], "--scale"),
    ],
)
def test_a_check_that_would_not_look_at_times_says_so(
    site: Site, options: list[str], said: str
) -> None:
    done = site.run("check", "robot.yaml", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_param_out_of_range_is_refused_before_anything_starts(site: Site) -> None:
    done = site.run("launch", "robot.yaml", "second.level:=3")
    assert done.returncode != 0
    assert "robot.yaml:8" in done.stderr
    assert "second.level" in done.stderr
    assert "active" not in done.stdout
    assert "did you mean 'level'" in site.run("check", "robot.yaml", "first.levl:=1").stdout


def test_a_second_session_of_the_same_name_is_refused(site: Site) -> None:
    site.launch()
    site.until_running()
    done = site.run("launch", "robot.yaml")
    assert "running already" in done.stderr


def test_a_taken_metrics_port_is_named_with_the_way_out(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = ROBOT + f"telemetry: {{prometheus: '{address}'}}\n"
        (site.folder / "robot.yaml").write_text(text)
        done = site.run("launch", "robot.yaml", "--duration", "5")
    assert done.returncode == 2
    assert "give a free host:port" in done.stderr + done.stdout
