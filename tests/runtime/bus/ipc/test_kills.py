"""Kill -9 of random hosts under load; 500 in a row are `./run bench bus_kills`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
SCRIPT = Path(__file__).parents[3] / "bench" / "bus_kills.py"


def test_nothing_leaks_and_nothing_is_torn_when_hosts_are_killed() -> None:
    command = [sys.executable, str(SCRIPT), "--kills", "25", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["complaints"] == []
    assert told["messages"] > 0
