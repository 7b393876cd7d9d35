"""What the system grants: told as it is, with the reason and the way out where it refuses."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.safety import realtime
from olympus.runtime.safety.settings import Settings


def test_realtime_says_what_was_refused(safety_dir: Path) -> None:
    mounts = safety_dir.parent / "mounts"
    device = safety_dir.parent.stat().st_dev
    major, minor = os.major(device), os.minor(device)
    mounts.write_text(f"1 2 {major}:{minor} / /x rw - ext4 /dev/x rw\n")
    assert "refused" in realtime.storage_kind(safety_dir.parent, mounts)
    mounts.write_text("1 2 999:999 / /x rw - ext4 /dev/x rw\n")
    assert "an unknown file system" in realtime.storage_kind(safety_dir.parent, mounts)
    mounts.write_text(f"1 2 {major}:{minor} / /x rw - tmpfs x rw\n")
    assert realtime.storage_kind(safety_dir.parent, mounts) == "granted: tmpfs"


def test_realtime_wishes_are_granted_or_refused_with_a_reason(safety_dir: Path) -> None:
    safety_dir.mkdir()
    usual = os.sched_getscheduler(0)
    wishes = Settings(dir=safety_dir, watch={"a": 1.0}, sched_fifo=1)
    try:
        told = realtime.prepare(wishes)
    finally:
        ctypes.CDLL(None).munlockall()
        os.sched_setscheduler(0, usual, os.sched_param(0))
    for wish in ("sched_fifo", "memory_lock", "storage"):
        assert told[wish].startswith(("granted", "refused: "))
    assert (
        realtime.prepare(Settings(dir=safety_dir, watch={"drive": 0.3}, lock_memory=False))[
            "sched_fifo"
        ]
        == realtime.NOT_ASKED
    )


@pytest.fixture
def _niceness() -> Iterator[None]:
    group = Path("/proc/self/autogroup")
    had = group.read_text().split()[-1:] if group.exists() else []
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    yield
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
            os.setpriority(os.PRIO_PROCESS, int(task.name), nice)
    if had:
        time.sleep(0.15)  # the kernel takes no second one sooner, of those without privilege
        group.write_text(had[0])


@pytest.mark.usefixtures("_niceness")
def test_niceness_is_one_threads_alone_or_the_whole_process_s() -> None:
    found: list[tuple[str, int, int]] = []

    def act() -> None:
        said = realtime.less_nice(-2)
        found.append((said, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)))

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    said, nice, policy = found[0]
    if said.startswith("refused"):
        assert said == "refused: Permission denied for nice -2"
        pytest.skip("no niceness below 0 is granted here (RLIMIT_NICE, CAP_SYS_NICE)")
    assert (said, nice, policy) == ("granted: nice -2", -2, os.SCHED_RESET_ON_FORK)
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0
    assert realtime.less_nice(-3, whole_process=True) == "granted: nice -3"
    tasks = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    assert {os.getpriority(os.PRIO_PROCESS, task) for task in tasks} == {-3}


@pytest.mark.parametrize(("had", "has"), [("/autogroup-9 nice 0\n", "-2"), ("", ""), (None, None)])
def test_a_session_is_favoured_where_the_kernel_groups_it(
    tmp_path: Path, had: str | None, has: str | None
) -> None:
    group = tmp_path / "autogroup"
    if had is not None:
        group.write_text(had)
    realtime.favour_session(group, -2)
    assert (group.read_text() if group.exists() else None) == has


def test_a_limit_for_those_that_spin_never_goes_beyond_the_one_there_is() -> None:
    realtime.limit_spinning(1000.0, 4000.0)
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == (10**9, 4 * 10**9)
    realtime.limit_spinning(3500.0, 3000.0)
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == (3 * 10**9, 3 * 10**9)
    realtime.limit_spinning(1000.0, 4000.0)
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == (10**9, 3 * 10**9)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    priority, top = resource.getrlimit(resource.RLIMIT_RTPRIO)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, hard))
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, top))
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))
    resource.setrlimit(resource.RLIMIT_RTPRIO, (priority, top))


@pytest.mark.usefixtures("unprivileged")
def test_refusals_carry_the_reason_and_the_way_out() -> None:
    told = realtime.prepare(Settings(dir=Path("/"), watch={"a": 1.0}, sched_fifo=99))
    assert "RLIMIT_RTPRIO" in told["sched_fifo"]
    assert "in its place refused: " in told["sched_fifo"]
    assert "RLIMIT_MEMLOCK" in told["memory_lock"]
