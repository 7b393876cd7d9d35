from __future__ import annotations

from pathlib import Path

import pytest

from olympus.models.energy import board_energy


def zone(root: Path, name: str, used: int) -> Path:
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(f"{used}\n")
    (folder / "max_energy_range_uj").write_text("1000000\n")
    return folder


def test_packages_are_added_up_and_a_counter_that_begins_anew_is_no_gain(tmp_path: Path) -> None:
    for name, used in (("intel-rapl:0", 900_000), ("intel-rapl:1", 0), ("intel-rapl:0:0", 7)):
        zone(tmp_path, name, used)
    meter = board_energy(tmp_path)
    assert meter is not None
    zone(tmp_path, "intel-rapl:1", 500_000)
    assert meter() == pytest.approx(0.5)
    zone(tmp_path, "intel-rapl:0", 100_000)
    assert meter() == pytest.approx(0.7)


def test_a_board_without_counters_has_no_meter(tmp_path: Path) -> None:
    assert board_energy(tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert board_energy(tmp_path) is None
