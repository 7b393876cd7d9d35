from __future__ import annotations

import threading
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


def test_a_counter_that_can_not_be_read_for_a_while_ends_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = zone(tmp_path, "intel-rapl:0", 100_000) / "energy_uj"
    meter = board_energy(tmp_path)
    assert meter is not None
    for text in ("", None):
        file.unlink() if text is None else file.write_text(text)
        assert meter() == 0
        assert meter() == 0
    (told,) = caplog.messages  # once, not at each call
    assert str(file.parent) in told
    zone(tmp_path, "intel-rapl:0", 300_000)
    assert meter() == pytest.approx(0.2)


def test_energy_that_many_threads_read_is_counted_once(tmp_path: Path) -> None:
    file = zone(tmp_path, "intel-rapl:0", 0) / "energy_uj"
    meter = board_energy(tmp_path)
    assert meter is not None
    begin = threading.Barrier(8)

    def read() -> None:
        begin.wait(20)
        for _ in range(300):
            meter()

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    used = 0
    while any(reader.is_alive() for reader in readers):
        used += 1000
        (tmp_path / "fresh").write_text(f"{used}\n")
        (tmp_path / "fresh").replace(file)
    assert meter() == pytest.approx(used / 1e6)
