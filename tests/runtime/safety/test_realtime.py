"""What the system grants: told as it is, with the reason and the way out where it refuses."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from olympus.runtime.safety import realtime
from olympus.runtime.safety.settings import Settings

Rank = tuple[int, int, int]
"""Policy, priority and niceness of a thread."""


def ranks() -> dict[int, Rank]:
    """Return those of all threads of this process, some of which tests before these have left."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
            number = int(task.name)
            policy, priority = os.sched_getscheduler(number), os.sched_getparam(number)
            nice = os.getpriority(os.PRIO_PROCESS, number)
            found[number] = policy, priority.sched_priority, nice
    return found


def of_this_process() -> dict[str, object]:
    """Tell what was granted to this process, as far as these tests change it."""
    group = Path("/proc/self/autogroup")
    kinds = (resource.RLIMIT_RTTIME, resource.RLIMIT_RTPRIO, resource.RLIMIT_MEMLOCK)
    return {
        "session": group.read_text() if group.exists() else "",
        "limits": [resource.getrlimit(kind) for kind in kinds],
        "user": os.geteuid(),
    }


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Leave nothing behind: the tests that come after run in this process too."""
    before, had = of_this_process(), ranks()
    yield
    assert of_this_process() == before
    usual = had[threading.get_native_id()]
    assert {n: rank for n, rank in ranks().items() if rank != had.get(n, usual)} == {}


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


def wait_for_end(thread: threading.Thread) -> None:
    """Wait until the kernel has it no more: `join` alone returns a little sooner."""
    thread.join()
    while Path(f"/proc/self/task/{thread.native_id}").exists():
        time.sleep(0.001)


def now_and_before(had: dict[int, Rank]) -> list[tuple[int, Rank]]:
    """Return each thread that is there now, with the rank it had; a new one with this one's."""
    return [(number, had.get(number, had[threading.get_native_id()])) for number in ranks()]


@pytest.fixture
def _niceness() -> Iterator[None]:
    group = Path("/proc/self/autogroup")
    session = group.read_text().split()[-1:] if group.exists() else []
    had = ranks()
    yield
    for number, (_, _, nice) in now_and_before(had):
        with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
            os.setpriority(os.PRIO_PROCESS, number, nice)
    if session:
        time.sleep(0.15)  # the kernel takes no second one sooner, of those without privilege
        group.write_text(session[0])


@pytest.fixture
def ordinary() -> Iterator[None]:
    had = ranks()
    yield
    ctypes.CDLL(None).munlockall()
    gc.unfreeze()
    for number, (policy, priority, _) in now_and_before(had):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(number, policy, os.sched_param(priority))


@pytest.mark.usefixtures("_niceness", "ordinary")
def test_realtime_wishes_are_granted_or_refused_with_a_reason(safety_dir: Path) -> None:
    safety_dir.mkdir()
    told = realtime.prepare(Settings(dir=safety_dir, watch={"a": 1.0}, sched_fifo=1))
    for wish in ("sched_fifo", "memory_lock", "storage"):
        assert told[wish].startswith(("granted", "refused: "))
    plain = realtime.prepare(Settings(dir=safety_dir, watch={"drive": 0.3}, lock_memory=False))
    assert plain["sched_fifo"] == plain["memory_lock"] == realtime.NOT_ASKED


@pytest.mark.usefixtures("_niceness")
def test_niceness_is_one_threads_alone_or_the_whole_process_s() -> None:
    found: list[tuple[str, int, int]] = []

    def act() -> None:
        said = realtime.less_nice(-2)
        found.append((said, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)))

    thread = threading.Thread(target=act)
    thread.start()
    wait_for_end(thread)
    said, nice, policy = found[0]
    if said.startswith("refused"):
        assert said == "refused: Permission denied for nice -2"
        pytest.skip("no niceness below 0 is granted here (RLIMIT_NICE, CAP_SYS_NICE)")
    assert (said, nice, policy) == ("granted: nice -2", -2, os.SCHED_RESET_ON_FORK)
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0
    assert realtime.less_nice(-3, whole_process=True) == "granted: nice -3"
    assert {nice for _, _, nice in ranks().values()} == {-3}


@pytest.mark.parametrize(("had", "has"), [("/autogroup-9 nice 0\n", "-2"), ("", ""), (None, None)])
def test_a_session_is_favoured_where_the_kernel_groups_it(
    tmp_path: Path, had: str | None, has: str | None
) -> None:
    group = tmp_path / "autogroup"
    if had is not None:
        group.write_text(had)
    realtime.favour_session(group, -2)
    assert (group.read_text() if group.exists() else None) == has


SPINNERS: Final = """
import json, resource
from olympus.runtime.safety import realtime
found = []
for told_s, ended_s in ((1000.0, 4000.0), (3500.0, 3000.0), (1000.0, 4000.0)):
    realtime.limit_spinning(told_s, ended_s)
    found.append(resource.getrlimit(resource.RLIMIT_RTTIME))
print(json.dumps(found))
"""


def test_a_limit_for_those_that_spin_never_goes_beyond_the_one_there_is() -> None:
    """In a process of its own: a hard limit can't be raised again."""
    words = [sys.executable, "-c", SPINNERS]
    found = subprocess.run(words, capture_output=True, check=True).stdout
    assert json.loads(found) == [[10**9, 4 * 10**9], [3 * 10**9, 3 * 10**9], [10**9, 3 * 10**9]]


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
    refused = "in its place refused: Permission denied for nice -20"
    assert told["sched_fifo"].endswith(refused)
    assert "RLIMIT_MEMLOCK" in told["memory_lock"]


def in_a_thread(act: Callable[[], object]) -> tuple[object, int, int]:
    """Return what it returned, and the policy and priority of its thread afterwards."""
    found: list[tuple[object, int, int]] = []

    def run() -> None:
        said = act()
        found.append((said, os.sched_getscheduler(0), os.sched_getparam(0).sched_priority))

    thread = threading.Thread(target=run)
    thread.start()
    wait_for_end(thread)
    return found[0]


def is_priority_granted() -> bool:
    def ask() -> bool:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            return True
        return False

    return bool(in_a_thread(ask)[0])


needs_priority = pytest.mark.skipif(
    not is_priority_granted(),
    reason="no real-time priority is granted here (RLIMIT_RTPRIO, CAP_SYS_NICE)",
)


@needs_priority
@pytest.mark.usefixtures("ordinary")
def test_a_priority_is_one_threads_alone_or_the_whole_process_s() -> None:
    alone = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    assert in_a_thread(lambda: realtime.real_time(2)) == ("granted: priority 2", alone, 2)
    assert in_a_thread(lambda: realtime.join(3)) == (None, alone, 3)
    assert in_a_thread(lambda: realtime.join(None)) == (None, os.SCHED_OTHER, 0)
    assert in_a_thread(lambda: realtime.real_time(None)) == (
        realtime.NOT_ASKED,
        os.SCHED_OTHER,
        0,
    )
    waiting = threading.Event()
    other = threading.Thread(target=waiting.wait)
    other.start()
    try:
        assert realtime.real_time(4, whole_process=True) == "granted: priority 4"
        found = ranks()
        assert other.native_id in found
        # Not reset by a fork: the threads to come have it too.
        assert {rank[:2] for rank in found.values()} == {(os.SCHED_FIFO, 4)}
    finally:
        waiting.set()
        wait_for_end(other)


@needs_priority
@pytest.mark.usefixtures("ordinary")
def test_a_guardian_gets_all_it_asks_for_and_its_garbage_is_left_alone(safety_dir: Path) -> None:
    safety_dir.mkdir()
    gc.unfreeze()
    told = realtime.prepare(Settings(dir=safety_dir, watch={"a": 1.0}, sched_fifo=5))
    assert told["sched_fifo"] == "granted: priority 5"
    assert os.sched_getscheduler(0) == os.SCHED_FIFO
    assert told["storage"] == realtime.storage_kind(safety_dir)
    assert gc.get_freeze_count() > 1000


def locked_kb() -> int:
    about = Path("/proc/self/status").read_text()
    return int(about.partition("VmLck:")[2].split()[0])


@pytest.mark.usefixtures("ordinary")
def test_memory_to_come_is_locked_only_where_that_can_not_make_it_run_out(
    safety_dir: Path,
) -> None:
    safety_dir.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    told = realtime.prepare(Settings(dir=safety_dir, watch={"a": 1.0}))["memory_lock"]
    if told.startswith("refused"):
        assert "RLIMIT_MEMLOCK" in told
        assert locked_kb() == 0
        pytest.skip("no memory may be locked here (RLIMIT_MEMLOCK, CAP_IPC_LOCK)")
    before_kb = locked_kb()
    assert before_kb > 1000
    with mmap.mmap(-1, 1 << 22) as more:
        more[0] = 1
        is_locked = locked_kb() >= before_kb + 4096
    may_all = realtime.may_lock_all(soft, Path("/proc/self/status").read_text())
    assert is_locked is may_all
    words = "granted, future memory too" if may_all else "granted, present memory only"
    assert told == words
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == (soft, hard)


def death_signal() -> int:
    found = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(found), 0, 0, 0)
    return found.value


def test_the_kernel_tells_when_the_parent_ends() -> None:
    assert death_signal() == 0
    realtime.end_with_parent()
    try:
        assert death_signal() == signal.SIGTERM
    finally:
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)


def test_a_limit_for_those_that_spin_can_be_taken_away_again() -> None:
    before = resource.getrlimit(resource.RLIMIT_RTTIME)
    realtime.limit_spinning(1000.0, None)
    hard = before[1]
    most = 10**9 if hard == resource.RLIM_INFINITY else min(10**9, hard)
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == (most, hard)
    realtime.forgive_spinning()
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == (hard, hard)
    realtime.limit_spinning(1000.0, None)
    realtime.forgive_spinning(os.getpid())
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == (hard, hard)
    resource.setrlimit(resource.RLIMIT_RTTIME, before)


@pytest.mark.usefixtures("_niceness", "ordinary")
def test_niceness_of_a_whole_process_leaves_its_policy_and_that_of_a_thread_is_not_handed_on() -> (
    None
):
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    if realtime.less_nice(-1, whole_process=True).startswith("refused"):
        pytest.skip("no niceness below 0 is granted here (RLIMIT_NICE, CAP_SYS_NICE)")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_refused_priority_says_the_reason_and_the_way_out() -> None:
    said = realtime.real_time(100)
    assert said == (
        "refused: Invalid argument for priority 100; "
        "raise RLIMIT_RTPRIO (rtprio in limits.conf) or grant CAP_SYS_NICE"
    )


def test_a_disk_is_refused_with_the_way_out(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    device = tmp_path.stat().st_dev
    line = f"1 2 {os.major(device)}:{os.minor(device)} / /x rw - KIND x rw\n"
    mounts.write_text(line.replace("KIND", "ext4"))
    assert realtime.storage_kind(tmp_path, mounts) == (
        f"refused: {tmp_path} is on ext4, whose writeback may delay a write; use a tmpfs"
    )
    mounts.write_text("9 9 999:999 / / rw - ext4 x rw\n" + line.replace("KIND", "ramfs"))
    assert realtime.storage_kind(tmp_path, mounts) == "granted: ramfs"
    assert realtime.storage_kind(tmp_path).split(":")[0] in ("granted", "refused")


@pytest.mark.parametrize(
    ("limit", "rights", "may"),
    [
        (resource.RLIM_INFINITY, "0", True),
        (65536, "0000000000004000", True),
        (65536, "00000000ffffbfff", False),
        (65536, "0000000000002000", False),
        (65536, "0000000000008000", False),
        (0, "ffffffffffffffff", True),
    ],
)
def test_all_memory_is_locked_with_the_right_to_or_without_a_limit(
    limit: int, rights: str, may: bool
) -> None:
    about = f"Name:\tpython\nCapEff:\t{rights}\nCapBnd:\t0\n"
    assert realtime.may_lock_all(limit, about) is may


def test_a_kernel_that_tells_no_rights_grants_none() -> None:
    assert not realtime.may_lock_all(65536, "Name:\tpython\n")
