"""The faults of the campaign, and those that it can't do here, by name."""

from __future__ import annotations

import itertools
import resource
import signal
from collections.abc import Iterator

from olympus.sim.campaign.faults import (
    Begin,
    Expect,
    Fault,
    both,
    button,
    corrupted,
    deleted,
    flooded,
    loaded,
    pressed,
    sent,
    stopped,
    wire,
    wounded,
)
from olympus.sim.campaign.hardships import (
    bus_flooded,
    can_limit_memory,
    clock_stepped,
    commanded,
    cut_off,
    datagrams_malformed,
    disk_filled,
    out_of_memory,
    reset_replayed,
    seal_forged,
    seal_given,
    seal_replayed,
    starved,
)
from olympus.sim.campaign.rig import Rig

_KILL, _STOP, _SEGV = signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV
_WATCHED = ("guardian", "gate", "drive", "control", "perception", "models")
_HOSTS = ("drive", "control", "perception", "models")

ELSEWHERE = {
    "CLOCK_MONOTONIC stepped": "the kernel has no way to step it, not even in a time namespace",
    "relay opens": "the dead-man relay has tests of its own: hardware/firmware",
    "board frozen": "needs a virtual machine or a board: hardware",
}
"""What no campaign on a running computer can do, and why."""


def catalogue() -> dict[str, Fault]:
    """Return every fault by name."""
    makers = (_signals(), _wounds(), _others(), _hardships(), _forgeries(), _pairs())
    return {fault.name: fault for fault in itertools.chain(*makers)}


def skipped(rig: Rig) -> dict[str, str]:
    """Say which faults can't be done on this system, by a part of their name, and why."""
    found = {}
    if not rig.disk.is_mounted:
        found["disk full"] = "root has to mount a small file system for it"
    if not rig.clock.is_ours:
        found["clock stepped"] = "it takes a C compiler (cc) to lay a clock over the C library"
    if not rig.cable.is_laid:
        found["cable to a remote commander"] = "root has to make a network namespace for it"
    if not can_limit_memory():
        found["out of memory"] = "no control group with a memory limit can be made"
    return found


def _signals() -> Iterator[Fault]:
    for process in _WATCHED:
        yield Fault(f"{process} SIGKILL", sent(process, _KILL), weight=6)
        yield Fault(f"{process} SIGSTOP", sent(process, _STOP), weight=9)
        yield Fault(f"{process} SIGSEGV", sent(process, _SEGV), weight=3)
    for number, weight in ((_KILL, 1), (_STOP, 4), (_SEGV, 1)):
        yield Fault(f"launcher {number.name}", sent("launcher", number), weight=weight)
        for process in ("viewer", "nursery"):
            yield Fault(f"{process} {number.name}", sent(process, number), "drive", weight=weight)


def _wounds() -> Iterator[Fault]:
    for host in _HOSTS:
        yield Fault(f"{host} GIL held", wounded(host, "gil 0.5"), weight=3)
        yield Fault(f"{host} event loop blocked", wounded(host, "block 0.5"), weight=3)
        yield Fault(f"{host} infinite loop, real-time", wounded(host, "spin_rt 0.5"), weight=2)
    for host in ("control", "drive"):
        yield Fault(f"{host} deadlock", wounded(host, "deadlock 0", is_mortal=True), weight=2)
        yield Fault(f"{host} infinite loop", wounded(host, "spin 0.5"), weight=2)
        yield Fault(f"{host} memory exhausted", wounded(host, "memory 0.5", is_mortal=True))
        # Longer than a second: what a node does every second is among it.
        descriptors = wounded(host, "descriptors 1.1", look_on_s=0.7)
        yield Fault(f"{host} descriptors exhausted", descriptors, "drive")


def _one(name: str, begin: Begin, expect: Expect = "halt", weight: int = 2) -> Fault:
    return Fault(name, begin, expect, weight, is_process_fault=False)


def _then_stop(name: str, begin: Begin) -> Fault:
    return _one(f"stop: {name}", both(begin, stopped, is_first_timed=False))


def _others() -> Iterator[Fault]:
    one = _one
    yield one("stop asked for", stopped, weight=4)
    yield one("stop button pressed", button(is_lost=False), weight=4)
    yield one("stop button lost", button(is_lost=True))
    yield one("stop in a flood of datagrams", flooded)
    yield one("stop on a stuttering wire", both(wire("stutter"), stopped, is_first_timed=False))
    yield one("lease corrupted", corrupted("lease"), "any")
    yield one("heartbeats corrupted", corrupted("heartbeats"), "any")
    yield one("acknowledgement corrupted", corrupted("gate.drive"), "any")
    yield one("stop line corrupted", corrupted("stop"))
    yield one("lease deleted", deleted("lease"), "any")
    yield one("heartbeats deleted", deleted("heartbeats"), "any")
    yield one("acknowledgement deleted", deleted("gate.drive"), "any")
    yield one("stop line deleted", deleted("stop"))
    yield one("all cores saturated", loaded(None), "any")
    # A pseudo-terminal's bytes pass through a kernel thread of ordinary priority, which starves.
    yield one("all cores saturated, real-time", loaded(30), "latch")
    yield one("serial line cut", wire("cut"), "latch", 1)


def _hardships() -> Iterator[Fault]:
    for process in ("guardian", "gate", "drive"):
        descriptors = starved(process, resource.RLIMIT_NOFILE)
        memory = starved(process, resource.RLIMIT_AS)
        yield _one(f"{process} out of descriptors", descriptors, "any", 1)
        yield _one(f"{process} out of memory to map", memory, "any", 1)
        yield _then_stop(f"{process} out of descriptors", descriptors)
        yield _then_stop(f"{process} out of memory to map", memory)
    for host in ("control", "perception"):
        yield Fault(f"{host} killed when out of memory", out_of_memory(host), weight=2)
    yield _one("disk full", disk_filled, "any", 1)
    yield _then_stop("disk full", disk_filled)
    for name, seconds in (("forward", 3600.0), ("back", -3600.0)):
        yield _one(f"clock stepped {name}", clock_stepped(seconds), "drive", 1)
        yield _then_stop(f"clock stepped {name}", clock_stepped(seconds))
    yield _one("cable to a remote commander pulled", cut_off("cable"))
    yield _one("Zenoh gateway frozen", cut_off("gateway"))
    yield _one("Zenoh session of a remote commander dead", cut_off("session"))
    yield _one("bus flooded with old commands", bus_flooded("old"), "any", 1)
    yield _then_stop("bus flooded with good commands", bus_flooded("good"))


def _forgeries() -> Iterator[Fault]:
    yield _one("reset forged", pressed)
    yield _one("reset replayed", reset_replayed)
    yield _one("seal genuine", seal_given)
    yield _one("seal replayed", seal_replayed, "drive")
    yield _one("seal forged or malformed", seal_forged, "drive")
    yield _one("datagrams malformed", datagrams_malformed, "drive")
    yield _one("commands that are no numbers", commanded("nan"), "pause")
    yield _one("commands replayed", commanded("replay"), "pause")
    yield _one("commands from the future", commanded("future"), "pause")
    yield _one("commands end", commanded("mute"))


def _pairs() -> Iterator[Fault]:
    halting = {
        "guardian SIGKILL": sent("guardian", _KILL),
        "guardian SIGSTOP": sent("guardian", _STOP),
        "gate SIGKILL": sent("gate", _KILL),
        "gate SIGSTOP": sent("gate", _STOP),
        "drive SIGKILL": sent("drive", _KILL),
        "drive SIGSTOP": sent("drive", _STOP),
        "control SIGSTOP": sent("control", _STOP),
        "perception GIL held": wounded("perception", "gil 0.5"),
    }
    milder = {
        "cores saturated": loaded(None),
        "disk full": disk_filled,
        "guardian out of descriptors": starved("guardian", resource.RLIMIT_NOFILE),
    }
    both_of = halting | milder
    for one, other in itertools.combinations(both_of, 2):
        if one.split()[0] != other.split()[0]:
            expect: Expect = "halt" if one in halting else "any"
            yield Fault(f"{one} + {other}", both(both_of[one], both_of[other]), expect)
