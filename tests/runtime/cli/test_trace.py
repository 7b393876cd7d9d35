from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from olympus.runtime.cli.app import make
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import ResourceRules
from olympus.runtime.scheduler.simulation import Arrival, simulate

MS = 1_000_000


def recorded(folder: Path) -> Path:
    file = folder / "cpu.trace"
    talk = Arrival(time_ns=0, tier=Tier.LOW, pieces_ns=(2 * MS,) * 3, source="planner")
    look = Arrival(
        time_ns=3 * MS, tier=Tier.HIGH, pieces_ns=(MS,), source="camera", deadline_ns=9 * MS
    )
    simulate(ResourceRules(), [talk, look], trace_file=file)
    return file


def test_a_trace_is_told_job_by_job(tmp_path: Path) -> None:
    shown = CliRunner().invoke(make(["trace"]), ["trace", str(recorded(tmp_path))])
    assert shown.exit_code == 0, shown.output
    assert "LOW       planner" in shown.output
    assert "1 preempted, 1 resumed, 1 done" in shown.output
    assert "camera  6.0 ms left" in shown.output


def test_a_script_gets_one_json_object_an_event(tmp_path: Path) -> None:
    shown = CliRunner().invoke(make(["trace"]), ["trace", str(recorded(tmp_path)), "--json"])
    rows = [json.loads(line) for line in shown.output.splitlines()]
    assert [row["event"] for row in rows if row["source"] == "camera"] == [
        "arrived",
        "started",
        "done",
    ]
