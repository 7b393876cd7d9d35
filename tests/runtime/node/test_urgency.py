"""Real processes whose loop is raised: what inherits it, what spins, what the system refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.bus.hub import open_hub
from olympus.runtime.config import Session, new_session
from olympus.runtime.node.spec import HostSpec, NodeSpec
from olympus.runtime.safety.heartbeat import HeartbeatBoard

pytestmark = pytest.mark.e2e

URGENT = """
import asyncio, json, logging, os, subprocess, sys, threading, time
from olympus.runtime.node.urgency import Urgency

PLAIN = ~os.SCHED_RESET_ON_FORK
POLICY = "import os; print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"

def policy():
    return os.sched_getscheduler(0) & PLAIN

def in_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(policy()))
    thread.start()
    thread.join()
    return found[0]

def in_child():
    done = subprocess.run([sys.executable, "-c", POLICY], capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()]

def spin(seconds):
    until = time.thread_time() + seconds  # of a machine that stands still the kernel counts nothing
    while time.thread_time() < until:
        pass

async def main(priority):
    # One that was there before, as Zenoh's are and those that models compute in.
    before = threading.Thread(target=time.sleep, args=(60,), daemon=True)
    before.start()
    urgency = Urgency(priority, again_s=0.2)
    user = os.geteuid()
    BEFORE
    refused = urgency.begin()
    os.seteuid(user)
    told = {"refused": refused, "loop": policy(), "thread": in_thread()}
    told["child"] = in_child()
    told["before"] = os.sched_getscheduler(before.native_id) & PLAIN
    told["nice"] = os.getpriority(os.PRIO_PROCESS, 0)
    ACT
    print(json.dumps(told))

logging.basicConfig(stream=sys.stderr, format="%(message)s")
asyncio.run(main(int(sys.argv[1])))
"""
SPINS = """
    spin(0.35)
    told["after"] = policy()
    while policy() != os.SCHED_FIFO:
        await asyncio.sleep(0.01)
    spin(0.35)  # the limit is the same the second time
    told["spins"] = urgency.spins
    await asyncio.sleep(0)
"""
STUCK = """
    sum(range(10**12))  # one call of a library, in which no handler runs
"""
UNPRIVILEGED = """
    import resource
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    resource.setrlimit(resource.RLIMIT_NICE, (0, 0))
    if not user:
        os.seteuid(65534)
"""


def run(priority: int, act: str = "", before: str = "") -> subprocess.CompletedProcess[str]:
    script = URGENT.replace("    ACT\n", act).replace("    BEFORE\n", before)
    return subprocess.run(
        [sys.executable, "-c", script, str(priority)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def _granted() -> None:
    script = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    if subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode:
        pytest.skip("no real-time priority is granted here (RLIMIT_RTPRIO, CAP_SYS_NICE)")


@pytest.mark.usefixtures("_granted")
def test_the_loop_alone_is_raised_and_what_it_starts_is_not() -> None:
    told = json.loads(run(1).stdout)
    assert (told["refused"], told["loop"]) == ("", os.SCHED_FIFO)
    assert (told["thread"], told["before"]) == (os.SCHED_OTHER, os.SCHED_OTHER)
    assert told["child"] == [os.SCHED_OTHER, 0]


@pytest.mark.usefixtures("_granted")
def test_a_loop_that_spins_loses_its_priority_each_time_says_so_and_gets_it_again() -> None:
    done = run(1, SPINS)
    told = json.loads(done.stdout)
    assert (told["after"], told["spins"]) == (os.SCHED_OTHER, 2)
    assert "ran for 0.1 s without waiting once" in done.stderr
    assert "(2 times so far)" in done.stderr


@pytest.mark.usefixtures("_granted")
def test_a_loop_that_is_stuck_in_a_library_is_ended_by_the_kernel() -> None:
    assert run(1, STUCK).returncode == -signal.SIGKILL


def test_a_refusal_is_told_with_the_way_out() -> None:
    told = json.loads(run(1, before=UNPRIVILEGED).stdout)
    assert told["loop"] == os.SCHED_OTHER
    assert "real-time priority 1: Operation not permitted" in told["refused"]
    assert "nice -10" in told["refused"] and "rtprio" in told["refused"]


@pytest.mark.usefixtures("_granted")
def test_where_only_niceness_is_granted_the_loop_has_that_and_hands_it_to_nobody() -> None:
    told = json.loads(run(0).stdout)
    assert (told["loop"], told["nice"], told["child"]) == (os.SCHED_OTHER, -10, [0, 0])
    assert told["refused"].startswith("its loop has nice -10")


@pytest.fixture
def session(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    made = new_session("urgent")
    with open_hub(made):
        yield made


class Beating:
    """A host that the guardian watches, with a node that computes as much as a control loop."""

    def __init__(self, session: Session, name: str, urgency: int | None) -> None:
        reading, writing = os.pipe()
        spec = HostSpec(
            session=session,
            name=name,
            nodes=[NodeSpec(name=f"calm_{name}", uses="host_nodes:Computes")],
            node_dir=Path(__file__).parent,
            heartbeat=name,
            urgency=urgency,
            status_fd=writing,
            log_file=session.run_dir / f"{name}.jsonl",
        )
        file = session.run_dir / f"{name}.json"
        file.write_text(spec.model_dump_json())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "olympus.runtime.node.host", str(file)],
            pass_fds=[writing],
            start_new_session=True,  # as the launcher does
        )
        os.close(writing)
        self._status = os.fdopen(reading)
        if not any(json.loads(line)["event"] == "ready" for line in self._status):
            raise AssertionError(f"{name} did not become ready")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._status.close()


@pytest.mark.usefixtures("_granted")
def test_a_guarded_host_beats_on_while_ordinary_work_takes_every_core(session: Session) -> None:
    """Two hosts beat side by side, one of them raised, through the same load.

    Each needs a fifth of a core, more than its share of what eight others want as well.
    """
    limit_ns = 300_000_000  # what launch/pi.yaml allows
    still_ns = 20_000_000  # who looks is ahead of both: if that comes so late, the machine stood
    board = HeartbeatBoard(session.safety_dir, ["raised", "usual"])
    hosts = [Beating(session, "raised", 1), Beating(session, "usual", None)]
    burn = "while True: pass"
    count = 8 * (os.cpu_count() or 1)
    # Each in a session of its own, which Linux gives as much as a whole host.
    busy = [
        subprocess.Popen([sys.executable, "-c", burn], start_new_session=True) for _ in range(count)
    ]
    silent = {"raised": 0, "usual": 0}
    was = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(2))
    try:
        looked_ns = since_ns = time.monotonic_ns()
        until_ns = looked_ns + 4 * 10**9
        while looked_ns < until_ns:
            time.sleep(0.002)
            beats, now_ns = board.read(), time.monotonic_ns()
            if now_ns - looked_ns > still_ns:
                since_ns = now_ns
            looked_ns = now_ns
            for name, beat in beats.items():
                silent[name] = max(silent[name], now_ns - max(beat.last_ns, since_ns))
    finally:
        os.sched_setscheduler(0, *was)
        for one in busy:
            one.kill()
        for one in busy:
            one.wait()
        for host in hosts:
            host.end()
        board.close()
    sys.stdout.write(f"longest silence, ms: { ({n: ns / 1e6 for n, ns in silent.items()}) }\n")
    assert silent["raised"] < limit_ns, silent
    assert silent["raised"] < silent["usual"], silent


ENDS = """
    spin(0.15)  # it is demoted now, and would be raised again
    await asyncio.sleep(0)
    urgency.end()
    await asyncio.sleep(0.4)
    told["after"] = policy()
    import resource
    told["limit"] = resource.getrlimit(resource.RLIMIT_RTTIME)[0]
"""


@pytest.mark.usefixtures("_granted")
def test_a_loop_whose_urgency_has_ended_stays_ordinary() -> None:
    told = json.loads(run(1, ENDS).stdout)
    assert (told["loop"], told["after"]) == (os.SCHED_FIFO, os.SCHED_OTHER)
    assert told["limit"] == 1_000_000  # the hard one, which nobody can take back


@pytest.mark.usefixtures("_granted")
def test_a_loop_that_may_spin_for_long_is_told_and_not_ended() -> None:
    script = URGENT.replace("again_s=0.2", 'again_s=9, whose="the launcher\'s", longest_s=None')
    act = 'spin(1.6)\n    told["spins"] = urgency.spins\n    await asyncio.sleep(0)\n'
    script = script.replace("    ACT\n", f"    {act}").replace("    BEFORE\n", "")
    done = subprocess.run(
        [sys.executable, "-c", script, "1"], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout)["spins"] >= 1
    assert "the launcher's loop ran for 0.1 s without waiting once" in done.stderr
