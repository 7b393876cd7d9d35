"""A board is told from what its kernel shows, and nothing is guessed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.hardware.board import look

MakeBoard = Callable[..., Path]


def test_a_pi_is_recognised(make_board: MakeBoard) -> None:
    board = look(make_board())
    assert board.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert board.compatible == ("raspberrypi,5-model-b", "brcm,bcm2712")
    assert board.processor.cores == 4
    assert board.processor.features == ("asimd", "asimddp")
    assert (board.memory_mb, board.memory_free_mb) == (8052, 6848)
    assert board.temperatures_c == {"cpu-thermal": 51.234}


def test_a_pc_is_named_by_its_maker(make_board: MakeBoard) -> None:
    dmi = {"sys/class/dmi/id/sys_vendor": "ACME\n", "sys/class/dmi/id/product_name": "Box 3\n"}
    assert look(make_board(dmi)).model == "ACME Box 3"


def test_an_empty_tree_is_an_unknown_board_with_nothing(make_board: MakeBoard) -> None:
    board = look(make_board({}))
    assert board.model == "unknown board"
    assert board.devices == ()
    assert board.memory_mb == 0
    assert board.preemption == "unknown"
    assert board.limits.realtime_priority == 0


def test_limits_are_those_of_this_user(make_board: MakeBoard) -> None:
    limits = look(make_board()).limits
    assert limits.realtime_priority == 80
    assert limits.locked_memory_kb is None
    assert limits.realtime_share == pytest.approx(0.95)


def test_small_limits_don_t_bind_who_is_above_them(make_board: MakeBoard) -> None:
    status = f"CapEff:\t{1 << 14 | 1 << 23:016x}\n"
    small = "Max realtime priority  0  0\nMax locked memory  65536  65536  bytes\n"
    limited = look(make_board(**{"proc/self/limits": small})).limits
    assert (limited.realtime_priority, limited.locked_memory_kb) == (0, 64)
    free = look(make_board(**{"proc/self/limits": small, "proc/self/status": status})).limits
    assert (free.realtime_priority, free.locked_memory_kb) == (99, None)


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("#1 SMP PREEMPT_RT Debian", "RT"),
        ("#1 SMP PREEMPT_DYNAMIC Debian", "dynamic"),
        ("#1 SMP PREEMPT Debian", "full"),
        ("#1 SMP Debian", "voluntary"),
    ],
)
def test_the_preemption_model_is_read(make_board: MakeBoard, version: str, kind: str) -> None:
    assert look(make_board({"proc/version": version})).preemption == kind


def test_an_rt_kernel_says_so_itself(make_board: MakeBoard) -> None:
    files = {"proc/version": "#1 SMP PREEMPT", "sys/kernel/realtime": "1\n"}
    assert look(make_board(files)).preemption == "RT"


def test_unthrottled_real_time_has_all_of_the_period(make_board: MakeBoard) -> None:
    root = make_board(**{"proc/sys/kernel/sched_rt_runtime_us": "-1\n"})
    assert look(root).limits.realtime_share == 1.0


def test_this_very_machine_can_be_looked_at() -> None:
    board = look()
    assert board.processor.machine == os.uname().machine
    assert board.processor.cores >= 1
    assert board.memory_mb >= board.memory_free_mb > 0
    assert board.disk_free_mb > 0
