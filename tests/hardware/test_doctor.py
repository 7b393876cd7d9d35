"""The doctor names what is missing and the way out, for people and for scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from olympus.hardware.board import look
from olympus.hardware.doctor import doctor
from olympus.hardware.findings import Finding, examine, is_fit

MakeBoard = Callable[..., Path]


@pytest.fixture
def app() -> typer.Typer:
    application = typer.Typer()
    application.command()(doctor)
    return application


def finding(root: Path, name: str) -> Finding:
    return next(found for found in examine(look(root)) if found.name == name)


def test_a_pi_with_all_it_needs_is_fit(make_board: MakeBoard) -> None:
    assert is_fit(examine(look(make_board())))


def test_every_line_that_isn_t_well_names_a_way_out(make_board: MakeBoard) -> None:
    boards: tuple[dict[str, str] | None, ...] = (None, {})
    for files in boards:
        for found in examine(look(make_board(files))):
            assert found.state == "ok" or found.way_out, found


def test_too_little_memory_is_missing_memory(make_board: MakeBoard) -> None:
    root = make_board(**{"proc/meminfo": "MemTotal: 524288 kB\nMemAvailable: 102400 kB\n"})
    found = finding(root, "memory")
    assert (found.state, found.text) == ("missing", "100 of 512 MB free")
    assert "512 MB" in found.way_out


def test_a_hot_board_is_limited(make_board: MakeBoard) -> None:
    root = make_board(**{"sys/class/thermal/thermal_zone0/temp": "84000\n"})
    assert finding(root, "heat cpu-thermal").state == "limited"


def test_no_real_time_priority_is_limited(make_board: MakeBoard) -> None:
    limits = "Max realtime priority  0  0\nMax locked memory  8388608  8388608  bytes\n"
    root = make_board(**{"proc/self/limits": limits})
    assert finding(root, "realtime").state == "limited"
    assert finding(root, "locked memory").text == "8192 kB"


def test_the_pins_of_a_known_board_are_told(make_board: MakeBoard) -> None:
    assert finding(make_board(), "pin map").text.startswith("Raspberry Pi 5: stop input pin 29")


def test_a_fit_board_exits_with_zero(app: typer.Typer, make_board: MakeBoard) -> None:
    result = CliRunner().invoke(app, ["--root", str(make_board())])
    assert result.exit_code == 0
    assert "all that is needed is there" in result.output
    assert "Raspberry Pi 5 Model B" in result.output


def test_an_unfit_board_exits_with_one_and_names_why(
    app: typer.Typer, make_board: MakeBoard
) -> None:
    result = CliRunner().invoke(app, ["--root", str(make_board({}))])
    assert result.exit_code == 1
    assert re.search(r"^missing: memory$", result.output, re.MULTILINE)


def test_a_script_gets_json(app: typer.Typer, make_board: MakeBoard) -> None:
    report = json.loads(CliRunner().invoke(app, ["--json", "--root", str(make_board())]).output)
    assert report["fit"] is True
    assert report["board"]["processor"]["cores"] == 4
    assert {"name": "python", "state": "ok"}.items() <= report["findings"][0].items()


def test_this_very_machine_is_fit_to_run_the_tests(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 0, result.output


def test_how_long_a_processor_takes_to_wake_is_told_and_whether_that_can_be_limited(
    make_board: MakeBoard,
) -> None:
    assert all(found.name != "sleep" for found in examine(look(make_board())))  # nothing is told
    states = {"POLL": 0, "C10": 890, "C1": 2}
    where = "sys/devices/system/cpu/cpu0/cpuidle/state"
    files: dict[str, str] = {}
    for number, (name, latency_us) in enumerate(states.items()):
        files |= {
            f"{where}{number}/name": f"{name}\n",
            f"{where}{number}/latency": f"{latency_us}\n",
        }
    found = finding(make_board(**files), "sleep")
    assert (found.state, found.text) == ("limited", "890 us to wake from C10, says its driver")
    assert "99-olympus.rules" in found.way_out
    found = finding(make_board(**files, **{"dev/cpu_dma_latency": ""}), "sleep")
    assert (found.state, found.way_out) == ("ok", "")
