from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from olympus.models.profile import Timing, kept_timings, measure, write_profile
from olympus.models.registry import Registry
from olympus.runtime.errors import ModelError


def test_a_models_memory_does_not_depend_on_what_was_timed_before_it() -> None:
    """Timed in one process, a model seemed to need the little that the one before had not left."""
    for name in ("person-obstacle", "sound-events"):
        memory_mb = measure(Registry().find(name), 20).memory_mb
        assert memory_mb is not None and memory_mb > 5, name


TIMING = Timing("1.0.0", 10, 1.0, 2.0, 3.0)


def test_a_profile_file_is_whole_at_any_time(tmp_path: Path) -> None:
    out, as_it_was = tmp_path / "board.yaml", tmp_path / "as_it_was"
    write_profile(out, "toy", {"eye": TIMING})
    os.link(out, as_it_was)
    before = as_it_was.read_bytes()
    write_profile(out, "toy", {"ear": TIMING})
    assert as_it_was.read_bytes() == before
    assert list(kept_timings(out, "toy")) == ["eye", "ear"]
    assert {file.name for file in tmp_path.iterdir()} == {out.name, as_it_was.name}


def test_benches_that_end_together_lose_nothing(tmp_path: Path) -> None:
    out = tmp_path / "board.yaml"

    def measure_some(of: int) -> None:
        for number in range(10):
            write_profile(out, "toy", {f"model-{of}-{number}": TIMING})

    with ThreadPoolExecutor(8) as benches:
        list(benches.map(measure_some, range(8)))
    assert len(kept_timings(out, "toy")) == 80


def test_what_a_bench_that_was_killed_left_behind_is_no_hindrance(tmp_path: Path) -> None:
    out = tmp_path / "board.yaml"
    out.with_name("board.yaml.new").write_text("board: toy\nmodels: {half: {ver")
    write_profile(out, "toy", {"eye": TIMING})
    assert list(kept_timings(out, "toy")) == ["eye"]


def test_a_profile_that_a_link_leads_to_is_written_where_it_lies(tmp_path: Path) -> None:
    (folder := tmp_path / "elsewhere").mkdir()
    out = tmp_path / "board.yaml"
    out.symlink_to(folder / "real.yaml")
    write_profile(out, "toy", {"eye": TIMING})
    assert out.is_symlink()
    assert list(kept_timings(folder / "real.yaml", "toy")) == ["eye"]


def test_a_profile_that_can_t_be_written_is_named(tmp_path: Path) -> None:
    out = tmp_path / "board.yaml"
    out.with_name("board.yaml.new").mkdir()
    with pytest.raises(ModelError, match=r"board\.yaml: can't be written: Is a directory"):
        write_profile(out, "toy", {"eye": TIMING})
