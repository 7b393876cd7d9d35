"""With `-n 2` the first worker has what must run alone, in its order, and the second the rest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LATE, SOON, BESIDE = (
    f"tests/{name}.py"
    for name in ("drivers/test_resample", "runtime/test_qos", "runtime/messages/test_base")
)


def run(*words: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-vv", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_what_times_nothing_runs_beside_and_what_times_most_runs_last() -> None:
    ran = re.findall(r"^\[(gw\d)\].* PASSED (\S+\.py)::", run(LATE, SOON, BESIDE), re.MULTILINE)
    assert {file for worker, file in ran if worker == "gw1"} == {BESIDE}
    mine = [file for worker, file in ran if worker == "gw0"]
    assert mine == sorted(mine, key=[SOON, LATE].index)
    assert set(mine) == {SOON, LATE}


def test_a_log_that_is_no_unicode_comes_to_the_first_process() -> None:
    assert "passed" in run("tests/runtime/telemetry/test_logs.py", "-k", "no_unicode")
