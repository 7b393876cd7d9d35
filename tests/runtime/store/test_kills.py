"""Kill -9 of a recorder and damage to its file; 1000 in a row are `./run bench store_kills`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
SCRIPT = Path(__file__).parents[2] / "bench" / "store_kills.py"


@pytest.mark.timeout(150)
def test_a_killed_recorder_loses_no_more_than_it_says_and_damage_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--kills", "12", "--damages", "60", "--json"]
    command += ["--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=140, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["complaints"] == []
    assert told["kills"] == 12
    accounted = told["recorded"] + told["named_missing"] + told["before_first"]
    assert accounted == told["published"] > 0
    assert sum(sum(counts.values()) for counts in told["damages"].values()) == 60
