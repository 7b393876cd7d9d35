"""Where the processor time of a picture goes: by rate, by host, and what `spin_s` costs.

    ./run bench bus_cpu
    ./run bench bus_cpu --rounds 9

Two launched hosts; one sends pictures of 1080p that it writes in place, at a steady rate, the other
takes them in. From the time of each host's event loop is taken off what it needs to keep the same
time without sending; rounds with and without take turns. Page faults are counted too: a slot that
is touched for the first time shows there.

In the same rounds two bare event loops with a socket and shared memory between them do the
same: less than that a bus in Python can't need.
"""

from __future__ import annotations

import argparse
import asyncio
import mmap
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from _bus_nodes import Times, Trial
from _bus_trials import FRAME
from _machine import described
from rich.console import Console
from rich.table import Table

from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched

LAUNCH = Path(__file__).with_name("_bus.yaml")
SPIN_S = 0.0005
RATES = (30.0, 60.0, 120.0, 300.0)
HOSTS = ("near", "far")
SECONDS = 1.0
BARE = -1.0
"""In the place of `spin_s`: two bare event loops."""
RECORD = bytes(150)
"""As long as what the bus sends of a picture."""
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Use:
    """What the event loop of one host has used up so far, or used per frame."""

    cpu_ms: float
    faults: float


@dataclass(frozen=True, slots=True)
class Round:
    """One host at one rate in one round, per frame and per period without one."""

    busy: Use
    idle: Use


Found = dict[tuple[float, float, str], list[Round]]
"""By `spin_s`, rate and host."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved repetitions; 5")
    rounds = parser.parse_args().rounds
    before = psutil.getloadavg()
    found: Found = {}
    with tempfile.TemporaryDirectory(prefix="oly") as folder, bare_receiver() as bare:
        asyncio.run(measure(Path(folder), rounds, bare, found))
    console = Console(width=120, file=sys.stdout)
    console.print(described(("numpy", "msgpack")), f"load {before} to {psutil.getloadavg()}")
    console.print(table(found, rounds))


async def measure(root: Path, rounds: int, bare: Bare, found: Found) -> None:
    """Measure all in turn."""
    asleep = Launched(LAUNCH, "spin_s:=0", root=root, name="cpu")
    awake = Launched(LAUNCH, f"spin_s:={SPIN_S}", root=root, name="cpuawake")
    with asleep, awake:
        for robot in (asleep, awake):
            robot.until_active()
        async with asleep.joined() as seat, awake.joined() as other:
            for _ in range(rounds):
                for hz in RATES:
                    for spin_s, robot, by in ((0.0, asleep, seat), (SPIN_S, awake, other)):
                        for host, one in (await one_round(robot, by, hz)).items():
                            found.setdefault((spin_s, hz, host), []).append(one)
                    for host, one in (await bare.one_round(hz)).items():
                        found.setdefault((BARE, hz, host), []).append(one)


async def one_round(robot: Launched, seat: Seat, hz: float) -> dict[str, Round]:
    """Send pictures at a rate, and none at the same rate."""
    pids = robot.pids()
    spent: dict[bool, dict[str, Use]] = {}
    for is_idle in (True, False):
        trial = Trial(seconds=SECONDS, hz=hz, is_copied=False, is_idle=is_idle)
        before = {host: use(pids[host]) for host in HOSTS}
        answer = await seat.bus.call("near/frames", trial, Times, timeout_s=PATIENCE_S)
        count = int(answer.ns[0])
        spent[is_idle] = {host: since(before[host], use(pids[host]), count) for host in HOSTS}
    return {host: Round(spent[False][host], spent[True][host]) for host in HOSTS}


@dataclass(frozen=True, slots=True)
class Bare:
    """The sending end of two bare event loops."""

    data: socket.socket
    room: mmap.mmap
    receiver: int
    """Process."""

    async def one_round(self, hz: float) -> dict[str, Round]:
        """Do what `one_round` has two hosts do."""
        pids = dict(zip(HOSTS, (os.getpid(), self.receiver), strict=True))
        spent: dict[bool, dict[str, Use]] = {}
        count = int(SECONDS * hz)
        for is_idle in (True, False):
            before = {host: use(pid) for host, pid in pids.items()}
            due = time.perf_counter()
            for _ in range(count):
                due += 1 / hz
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                if not is_idle:
                    self.room[0] = self.room[-1] = 1
                    self.data.send(RECORD)
            spent[is_idle] = {h: since(before[h], use(pid), count) for h, pid in pids.items()}
        return {host: Round(spent[False][host], spent[True][host]) for host in HOSTS}


@contextmanager
def bare_receiver() -> Iterator[Bare]:
    """Have a process that does nothing but wait for records and look at a picture's ends."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    room = mmap.mmap(-1, FRAME)
    pid = os.fork()
    if not pid:
        near.close()
        loop = asyncio.new_event_loop()

        def on_record() -> None:
            if not far.recv(4096):
                os._exit(0)
            _ = room[0], room[-1]

        loop.add_reader(far, on_record)
        loop.run_forever()
    far.close()
    try:
        yield Bare(near, room, pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        near.close()


def use(pid: int) -> Use:
    """Return what the main thread of a process has used up so far."""
    task = Path(f"/proc/{pid}/task/{pid}")
    cpu_ns = int((task / "schedstat").read_text().split()[0])
    after_name = (task / "stat").read_text().rpartition(")")[2].split()
    return Use(cpu_ns / 1e6, int(after_name[7]))  # minflt, proc_pid_stat(5)


def since(before: Use, after: Use, count: int) -> Use:
    """Return what was used between, per frame."""
    cpu_ms, faults = after.cpu_ms - before.cpu_ms, after.faults - before.faults
    return Use(cpu_ms / count, faults / count)


def table(found: Found, rounds: int) -> Table:
    """Return the results for a person."""
    title = f"1080p in place, ms of processor time per frame: median of {rounds} rounds (least)"
    made = Table("spin_s", "frames/s", *HOSTS, "both", "idle besides", "page faults", title=title)
    for spin_s, hz in dict.fromkeys(key[:2] for key in found):
        of = [found[spin_s, hz, host] for host in HOSTS]
        own = [[one.busy.cpu_ms - one.idle.cpu_ms for one in host] for host in of]
        both = [sum(pair) for pair in zip(*own, strict=True)]
        idle = [sum(one.idle.cpu_ms for one in pair) for pair in zip(*of, strict=True)]
        faults = [sum(one.busy.faults for one in pair) for pair in zip(*of, strict=True)]
        cells = [f"{median(one):.2f} ({min(one):.2f})" for one in (*own, both)]
        made.add_row(
            "bare" if spin_s == BARE else f"{spin_s:g}",
            f"{hz:g}",
            *cells,
            f"{median(idle):.2f}",
            f"{median(faults):.2f}",
        )
    return made


if __name__ == "__main__":
    main()
