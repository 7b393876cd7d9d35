"""What can be done to the rig: each fault is a way to begin it and a way to end it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from olympus.runtime.safety.protocol import SOCKET
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.watching import CampaignError

HOLD_S = 0.5
"""How long a fault that can be taken back is held."""

_GATHER_NS = 100_000_000
_FIFO = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
_OWN_PRIORITY = 58

Expect = Literal["halt", "latch", "pause", "drive", "any"]
"""halt: the motor goes neutral and stays; latch: a trip, though nobody can reach the motor; pause:
neutral while it lasts, and on by itself only where nothing was latched; drive: motion goes on;
any: any of these, but never motion without a reset after a trip."""

Begin = Callable[[Rig, random.Random], Callable[[], None]]
"""Begins a fault and returns what ends it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault."""

    name: str
    begin: Begin
    expect: Expect = "halt"
    weight: int = 1
    """How often it comes, compared to others."""
    is_process_fault: bool = True


def _nothing() -> None:
    return


@contextmanager
def punctual() -> Iterator[None]:
    """Keep this thread from being put aside between the stamp of a fault and the fault itself."""
    with suppress(OSError):
        os.sched_setscheduler(0, _FIFO, os.sched_param(_OWN_PRIORITY))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def sent(process: str, number: signal.Signals) -> Begin:
    """Send a signal to a process; a frozen one is thawed at the end."""

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        pid = rig.pid(process)  # looking it up takes a while, above all on a busy machine
        with punctual():
            rig.begun_ns = time.monotonic_ns()
            os.kill(pid, number)
        return (lambda: _signal(pid, signal.SIGCONT)) if number == signal.SIGSTOP else _nothing

    return begin


def wounded(host: str, words: str, *, is_mortal: bool = False, look_on_s: float = 0.0) -> Begin:
    """Hurt a host from within; one that does not come back is killed at the end.

    Args:
        host: Which.
        words: The wound.
        is_mortal: Whether it has to be killed.
        look_on_s: How much longer than `HOLD_S` its effect is waited for.
    """

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        pid = rig.pid(host)
        rig.begun_ns = rig.wound(host, words)
        time.sleep(look_on_s)
        return (lambda: _signal(pid, signal.SIGKILL)) if is_mortal else _nothing

    return begin


def both(one: Begin, other: Begin, *, is_first_timed: bool = True) -> Begin:
    """Begin two faults, one right after the other; the time is that from the first, or second."""

    def begin(rig: Rig, chance: random.Random) -> Callable[[], None]:
        ends = [one(rig, chance)]
        begun_ns = rig.begun_ns
        time.sleep(chance.uniform(0, 0.02))
        with suppress(CampaignError, OSError):
            ends.append(other(rig, chance))
        if is_first_timed:
            rig.begun_ns = begun_ns
        return lambda: _end_all(ends)

    return begin


def wire(state: str) -> Begin:
    """Hurt the wire to the motors."""

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        rig.observer.wire(state)
        return lambda: rig.observer.wire("whole")

    return begin


def loaded(priority: int | None) -> Begin:
    """Keep every core busy: at ordinary priority, or at a real-time one below the guardian's."""

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        context = multiprocessing.get_context("fork")
        count = 4 * (os.cpu_count() or 1) if priority is None else (os.cpu_count() or 1)
        # All at one moment: the first alone could keep us from starting the second.
        rig.begun_ns = time.monotonic_ns() + _GATHER_NS
        busy = [
            context.Process(target=_burn, args=(priority, rig.begun_ns, number), daemon=True)
            for number in range(count)
        ]
        for one in busy:
            one.start()
        return lambda: _end_processes(busy)

    return begin


def corrupted(name: str) -> Begin:
    """Overwrite a file of the shared memory with noise."""

    def begin(rig: Rig, chance: random.Random) -> Callable[[], None]:
        path = rig.safety_dir / name
        with path.open("r+b") as file:
            file.write(chance.randbytes(path.stat().st_size))
        return _nothing

    return begin


def deleted(name: str) -> Begin:
    """Delete a file of the shared memory."""

    def begin(rig: Rig, _chance: random.Random) -> Callable[[], None]:
        (rig.safety_dir / name).unlink()
        return _nothing

    return begin


def flooded(rig: Rig, chance: random.Random) -> Callable[[], None]:
    """Flood the guardian's socket with nonsense, and then stop through it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(str(rig.safety_dir / SOCKET))
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            with suppress(BlockingIOError):
                sender.send(chance.randbytes(200))
    with punctual():
        rig.begun_ns = time.monotonic_ns()
        rig.client.stop("in a flood", "campaign")
    return _nothing


def stopped(rig: Rig, _: random.Random) -> Callable[[], None]:
    """Ask for a stop, as a person does."""
    with punctual():
        rig.begun_ns = time.monotonic_ns()
        rig.client.stop("campaign", "campaign")
    return _nothing


def button(*, is_lost: bool) -> Begin:
    """Press the stop button, or let the input be lost; until the end.

    A file stands for its contact, read as those are with which the kernel shows one.
    """

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        with punctual():
            rig.begun_ns = time.monotonic_ns()
            if is_lost:
                rig.contact.unlink()
            else:
                rig.contact.write_text("1\n")
        return rig.release

    return begin


def pressed(rig: Rig, chance: random.Random) -> Callable[[], None]:
    """Stop, then press reset for stops that were never seen, again and again."""
    rig.client.stop("campaign", "campaign")
    for _ in range(5):
        rig.client.reset("forger", latch=chance.randrange(10**6, 10**7))
        time.sleep(0.02)
    return _nothing


def _end_all(ends: list[Callable[[], None]]) -> None:
    for end in ends:
        end()


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(OSError):
        os.kill(pid, number)


def _burn(priority: int | None, begun_ns: int, number: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    time.sleep(max(0, begun_ns - time.monotonic_ns()) / 1e9)
    if priority is not None:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    until = time.monotonic() + 30  # should the campaign be killed, they end
    while time.monotonic() < until:
        pass


def _end_processes(busy: list[multiprocessing.context.ForkProcess]) -> None:
    for one in busy:
        one.kill()
    for one in busy:
        one.join()


@contextmanager
def loaded_while(is_loaded: bool) -> Iterator[None]:
    """Keep every core busy while a block runs."""
    if not is_loaded:
        yield
        return
    busy = [
        multiprocessing.get_context("fork").Process(target=_burn_on, daemon=True)
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    for one in busy:
        one.start()
    try:
        yield
    finally:
        _end_processes(busy)


def _burn_on() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        sum(range(10_000))
