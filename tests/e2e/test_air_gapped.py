"""The whole patrol, models and planner included, tries to reach nothing beyond its own machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from olympus.models import llama_native

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]
LAUNCH = Path(__file__).resolve().parents[2] / "launch" / "model_host.yaml"
APART = ("unshare", "--map-root-user", "--net")
"""A network of its own, with nothing in it but a loopback that is down."""

ROBOT = """
import fcntl, json, socket, struct, sys, tempfile
from pathlib import Path
from olympus.runtime.launch.testing import Launched

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:  # SIOCSIFFLAGS, IFF_UP
    fcntl.ioctl(any_, 0x8914, struct.pack("16sh14x", b"lo", 1))

def counters(file):
    rows = [line.split() for line in Path("/proc/net", file).read_text().splitlines()]
    if file == "snmp6":
        return {name: int(value) for name, value in rows}
    return {
        head[0] + name: int(value)
        for head, values in zip(rows[::2], rows[1::2])
        for name, value in zip(head[1:], values[1:])
    }

if len(sys.argv) > 2:  # a packet that would leave, to see that it is counted
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
        try:
            talker.sendto(b"x", ("192.0.2.1", 9))
        except OSError:
            pass
    told = ""
else:
    with tempfile.TemporaryDirectory(prefix="gap") as folder:
        words = ["viewer_port:=0", f"recorder.path:={folder}/record"]
        with Launched(Path(sys.argv[1]), *words, root=Path(folder), go=True) as robot:
            robot.until_active()
            said = robot.command("say", "would you drive over to the middle and then come home")
            told = said.stdout + said.stderr
            assert "everything is active" in robot.output
print(json.dumps({
    "told": told,
    "no route": counters("snmp")["Ip:OutNoRoutes"] + counters("snmp6")["Ip6OutNoRoutes"],
    "loopback": int(Path("/proc/net/dev").read_text().split("lo:")[1].split()[9]),
    "devices": [n.split()[0] for n in Path("/proc/net/dev").read_text().splitlines()[2:]],
}))
"""


def apart(*words: str) -> dict[str, object]:
    hushed = ("CI", "ORT_DISABLE_TELEMETRY")  # would make a library hush that otherwise reports
    done = subprocess.run(
        [*APART, sys.executable, "-c", ROBOT, *words],
        env={name: value for name, value in os.environ.items() if name not in hushed},
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def may_part() -> bool:
    """Tell whether this machine lets us have a network of our own."""
    try:
        return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not may_part(), reason="this machine gives no network namespace (unshare)")
def test_a_patrol_with_models_and_planner_sends_nothing_beyond_the_machine() -> None:
    assert apart(str(LAUNCH), "and try to leave")["no route"] == 1  # so it would be noticed
    found = apart(str(LAUNCH))
    assert found["devices"] == ["lo:"]
    assert found["no route"] == 0
    assert int(str(found["loopback"])) > 0  # the page, the simulated building's broker
    if not llama_native.missing():
        assert "understood: go to the middle, then go home" in str(found["told"])
