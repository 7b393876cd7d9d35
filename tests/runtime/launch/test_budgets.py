"""Budgets are compared, told once, and forgiven."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import psutil

from olympus.runtime.launch.budgets import BudgetWatch
from olympus.runtime.launch.schema import Budgets


def test_going_over_is_told_once() -> None:
    told: list[str] = []
    watch = BudgetWatch(Budgets(rss_mb=1), told.append)
    assert watch.is_needed
    for _ in range(4):
        watch.look(os.getpid())
    assert len(told) == 1
    assert told[0].startswith("over its budget: ")
    assert told[0].endswith("of 1 MB")


def test_staying_within_is_silent_and_a_process_that_is_gone_is_no_error() -> None:
    told: list[str] = []
    watch = BudgetWatch(Budgets(rss_mb=1e6, cpu=1000), told.append)
    for pid in (os.getpid(), os.getpid(), None, 2**22 + 1):
        watch.look(pid)
    assert told == []


def test_pages_of_a_mapped_file_are_not_counted(tmp_path: Path) -> None:
    told: list[str] = []
    size = 200_000_000
    file = tmp_path / "store"
    file.write_bytes(bytes(size))
    own = psutil.Process().memory_info()
    watch = BudgetWatch(Budgets(rss_mb=(own.rss - own.shared + size / 2) / 1e6), told.append)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[::4096]) == 0
        assert psutil.Process().memory_info().rss > own.rss + size / 2
        for _ in range(3):
            watch.look(os.getpid())
    assert told == []


def test_without_a_budget_there_is_nothing_to_watch() -> None:
    assert not BudgetWatch(Budgets(), print).is_needed
