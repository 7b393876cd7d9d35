"""With `-n 2` the first worker has what must run alone, in its order, and the second the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = (
    "drivers/test_resample",
    "runtime/test_qos",
    "runtime/messages/test_base",
    "runtime/scheduler/test_choice",
)
LATE, SOON, BESIDE, COMPUTES = (f"tests/{name}.py" for name in NAMES)
PLUGIN = """
import os

def pytest_runtest_call(item):
    row = os.environ["PYTEST_XDIST_WORKER"], str(os.sched_getscheduler(0)), item.nodeid
    with open(os.environ["LANES"], "a") as file:
        file.write(" ".join(row) + "\\n")
"""
"""Writes down which worker runs what, and how urgently."""


def run(*words: str, **more: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-vv", *words],
        cwd=ROOT,
        env=env | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def idle_policy() -> int:
    """Return the policy of who asks for idle time: a container may refuse it."""
    program = "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    asked = subprocess.run([sys.executable, "-c", program], stderr=subprocess.DEVNULL, check=False)
    return os.SCHED_IDLE if asked.returncode == 0 else os.SCHED_OTHER


def test_what_times_nothing_runs_beside_and_what_times_most_runs_last(tmp_path: Path) -> None:
    (tmp_path / "lane_plugin.py").write_text(PLUGIN)
    told = tmp_path / "told"
    where = {"PYTHONPATH": str(tmp_path), "LANES": str(told)}
    run("-p", "lane_plugin", LATE, SOON, COMPUTES, BESIDE, **where)
    ran = [line.split(maxsplit=2) for line in told.read_text().splitlines()]
    mine = [name.partition("::")[0] for worker, _, name in ran if worker == "gw0"]
    assert mine == sorted(mine, key=[SOON, LATE, COMPUTES].index)
    assert {SOON, LATE} <= set(mine)
    other = [name.partition("::")[0] for worker, _, name in ran if worker == "gw1"]
    assert other == sorted(other, key=[BESIDE, COMPUTES].index)
    assert BESIDE in other
    idle = idle_policy()
    for worker, policy, name in ran:
        is_for_idle_time = worker == "gw1" and name.startswith(COMPUTES)
        assert int(policy) == (idle if is_for_idle_time else os.SCHED_OTHER)


def test_a_log_that_is_no_unicode_comes_to_the_first_process() -> None:
    assert "passed" in run("tests/runtime/telemetry/test_logs.py", "-k", "no_unicode")
