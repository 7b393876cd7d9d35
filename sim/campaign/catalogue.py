"""The faults of the campaign, and those that it can't do here, by name."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator

from olympus.sim.campaign.faults import (
    Begin,
    Fault,
    both,
    corrupted,
    flooded,
    forged,
    loaded,
    pressed,
    sent,
    stopped,
    wire,
    wounded,
)

_KILL, _STOP, _SEGV = signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV
_WATCHED = ("guardian", "gate", "drive", "control", "perception", "models")
_HOSTS = ("drive", "control", "perception", "models")

SKIPPED = {
    "clock stepped": "the wall clock has no namespace, and this one is not ours to step; guardian, "
    "lease, gates and heartbeats use CLOCK_MONOTONIC alone",
    "network partition": "commander and gate share a machine here; a remote one's silence is that "
    "of `control`",
    "disk full": "needs to mount a small file system; the guardian never waits for a disk",
    "relay opens": "the dead-man relay has tests of its own: hardware/firmware",
    "board frozen": "needs a virtual machine or a board: hardware",
}
"""What is not done here, and why."""


def catalogue() -> dict[str, Fault]:
    """Return every fault by name."""
    return {fault.name: fault for fault in (*_signals(), *_wounds(), *_others(), *_pairs())}


def _signals() -> Iterator[Fault]:
    for process in _WATCHED:
        yield Fault(f"{process} SIGKILL", sent(process, _KILL), weight=6)
        yield Fault(f"{process} SIGSTOP", sent(process, _STOP), weight=9)
        yield Fault(f"{process} SIGSEGV", sent(process, _SEGV), weight=3)
    for number, weight in ((_KILL, 1), (_STOP, 4), (_SEGV, 1)):
        yield Fault(f"launcher {number.name}", sent("launcher", number), weight=weight)
        yield Fault(f"viewer {number.name}", sent("viewer", number), "drive", weight=weight)


def _wounds() -> Iterator[Fault]:
    for host in _HOSTS:
        yield Fault(f"{host} GIL held", wounded(host, "gil 0.5"), weight=3)
        yield Fault(f"{host} event loop blocked", wounded(host, "block 0.5"), weight=3)
        yield Fault(f"{host} infinite loop, real-time", wounded(host, "spin_rt 0.5"), weight=2)
    for host in ("control", "drive"):
        yield Fault(f"{host} deadlock", wounded(host, "deadlock 0", is_mortal=True), weight=2)
        yield Fault(f"{host} infinite loop", wounded(host, "spin 0.5"), weight=2)
        yield Fault(f"{host} memory exhausted", wounded(host, "memory 0.5", is_mortal=True))
        yield Fault(f"{host} descriptors exhausted", wounded(host, "descriptors 0.4"), "any")


def _others() -> Iterator[Fault]:
    def one(name: str, begin: Begin, expect: str = "halt", weight: int = 2) -> Fault:
        return Fault(name, begin, expect, weight, is_process_fault=False)  # type: ignore[arg-type]

    yield one("stop asked for", stopped, weight=4)
    yield one("stop in a flood of datagrams", flooded)
    yield one("stop on a stuttering wire", both(wire("stutter"), stopped, is_first_timed=False))
    yield one("reset forged", pressed)
    yield one("seal forged or malformed", forged, "drive")
    yield one("lease corrupted", corrupted("lease"), "any")
    yield one("heartbeats corrupted", corrupted("heartbeats"), "any")
    yield one("acknowledgement corrupted", corrupted("gate.drive"), "any")
    yield one("stop line corrupted", corrupted("stop"))
    yield one("all cores saturated", loaded(None), "any")
    # A pseudo-terminal's bytes pass through a kernel thread of ordinary priority, which starves.
    yield one("all cores saturated, real-time", loaded(10), "latch")
    yield one("serial line cut", wire("cut"), "latch", 1)


def _pairs() -> Iterator[Fault]:
    important = {
        "guardian SIGKILL": sent("guardian", _KILL),
        "guardian SIGSTOP": sent("guardian", _STOP),
        "gate SIGKILL": sent("gate", _KILL),
        "gate SIGSTOP": sent("gate", _STOP),
        "drive SIGKILL": sent("drive", _KILL),
        "drive SIGSTOP": sent("drive", _STOP),
        "control SIGSTOP": sent("control", _STOP),
        "cores saturated": loaded(None),
    }
    for one, other in itertools.combinations(important, 2):
        if one.split()[0] != other.split()[0]:
            yield Fault(f"{one} + {other}", both(important[one], important[other]))
