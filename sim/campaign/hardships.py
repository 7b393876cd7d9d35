"""Faults of what a robot stands in: disk, memory, descriptors, clock, network, bus, and forgers."""

from __future__ import annotations

import os
import random
import resource
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from olympus.runtime.safety.protocol import LARGEST, SOCKET
from olympus.runtime.safety.seal import seal
from olympus.sim.campaign.faults import HOLD_S, Begin, punctual
from olympus.sim.campaign.rig import Rig, is_running
from olympus.sim.campaign.surroundings import KEY_NAME, Remote
from olympus.sim.campaign.watching import CampaignError, WrongAnswerError

_GROUPS = Path("/sys/fs/cgroup")
_ROOM_BYTES = 24 << 20
_SETTLE_S = 0.3
_LINKED_S = 20.0
_SILENT_S = 0.125  # a command may be 80 ms old, and their end trips after 300


def disk_filled(rig: Rig, _: random.Random) -> Callable[[], None]:
    """Fill the file system that has the run-time folder, shared memory included."""
    rig.begun_ns = time.monotonic_ns()
    rig.disk.fill()
    return rig.disk.empty


def clock_stepped(seconds: float) -> Begin:
    """Step the wall clock of every process of the robot."""

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        with punctual():
            rig.begun_ns = time.monotonic_ns()
            rig.clock.step(seconds)
        return lambda: rig.clock.step(0)

    return begin


def starved(process: str, what: int) -> Begin:
    """Let a process have no more descriptors or memory than it has: a limit of the kernel.

    Args:
        process: Which.
        what: `RLIMIT_NOFILE` or `RLIMIT_AS`.
    """

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        pid = rig.pid(process)
        was = resource.prlimit(pid, what)
        with punctual():
            rig.begun_ns = time.monotonic_ns()
            resource.prlimit(pid, what, (0, was[1]))

        def end() -> None:
            with suppress(OSError):
                resource.prlimit(pid, what, was)

        return end

    return begin


def can_limit_memory() -> bool:
    """Whether a control group with a limit of its own can be made here."""
    try:
        folder, _ = _group()
        folder.rmdir()
    except OSError:
        return False
    return True


def _group() -> tuple[Path, str]:
    is_new = (_GROUPS / "cgroup.controllers").exists()
    folder = (_GROUPS if is_new else _GROUPS / "memory") / f"olympus-campaign-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    limit = "memory.max" if is_new else "memory.limit_in_bytes"
    if not (folder / limit).exists():
        folder.rmdir()
        raise OSError("no memory controller")
    return folder, limit


def out_of_memory(host: str) -> Begin:
    """Let a host allocate until the kernel's out-of-memory killer ends it."""

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        pid = rig.pid(host)
        folder, limit = _group()
        (folder / limit).write_text(str(_ROOM_BYTES))  # what it has already is counted elsewhere
        (folder / "cgroup.procs").write_text(str(pid))
        seen_ns = rig.wound(host, "hog 2")
        until = time.monotonic() + 2
        while is_running(pid) and time.monotonic() < until:
            seen_ns = time.monotonic_ns()
            time.sleep(0.0005)
        rig.begun_ns = seen_ns  # it was still alive then

        def end() -> None:
            for _ in range(100):
                with suppress(OSError):
                    folder.rmdir()
                    return
                time.sleep(0.01)

        return end

    return begin


def cut_off(how: str) -> Begin:
    """Let a commander on another machine drive, and then lose it.

    Args:
        how: `cable`: it is pulled; `gateway`: the robot's own Zenoh gateway is frozen; `session`:
            the other machine's session dies without a word.
    """

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        pid, remote = rig.pid("gateway"), rig.remote()
        _let_drive(rig, remote)
        with punctual():
            rig.begun_ns = time.monotonic_ns()
            if how == "cable":
                rig.cable.pull()
            else:
                os.kill(remote.pid if how == "session" else pid, 9 if how == "session" else 19)

        def end() -> None:
            if how == "cable":
                rig.cable.plug()
            with suppress(OSError):
                os.kill(pid, 18)
            time.sleep(_SETTLE_S)  # a link that comes back, its commander still commanding
            with suppress(CampaignError):
                remote.tell("off")
            with suppress(CampaignError):
                rig.wound("control", "good 0")

        return end

    return begin


def _let_drive(rig: Rig, remote: Remote) -> None:
    """Let the other machine's commander drive in place of the robot's own.

    Raises:
        CampaignError: It does not come to that; the robot's own commands on, and it alone.
    """
    try:
        remote.tell("on")
        _await_remote(rig)
        rig.wound("control", "mute 3")
        time.sleep(_SETTLE_S)
        rig.observer.catch_up()
        if not rig.observer.is_driven:
            raise CampaignError("the other machine's commands do not drive")
    except CampaignError:  # it must not command on in the trials that come
        with suppress(CampaignError):
            remote.tell("off")
        with suppress(CampaignError):
            rig.wound("control", "good 0")
        raise


def _await_remote(rig: Rig) -> None:
    """Wait until the other machine's commands come: a link that was cut takes seconds to be back.

    Raises:
        CampaignError: They do not.
    """
    until = time.monotonic() + _LINKED_S
    while time.monotonic() < until:
        rig.wound("control", f"mute {1.5 * _SILENT_S}")  # so briefly that it trips nothing
        time.sleep(_SILENT_S)
        rig.observer.catch_up()
        if rig.observer.is_driven:
            return
        if (status := rig.status()) is None or not status.is_permitted:
            why = status.cause if status is not None else "no guardian answers"
            raise CampaignError(f"stopped before the other machine's commands came: {why}")
        time.sleep(_SETTLE_S)
    raise CampaignError("the other machine's commands do not come")


def commanded(kind: str) -> Begin:
    """Let the commander send what no gate may take: `nan`, `replay`, `future`, `mute`."""

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        rig.begun_ns = rig.wound("control", f"{kind} {HOLD_S}")
        return lambda: None

    return begin


def bus_flooded(kind: str) -> Begin:
    """Let another host flood the topic of the commands as fast as it can: `old` ones or `good`."""

    def begin(rig: Rig, _: random.Random) -> Callable[[], None]:
        rig.begun_ns = rig.wound("viewer", f"flood_{kind} {HOLD_S}")
        return lambda: None

    return begin


def seal_given(rig: Rig, chance: random.Random) -> Callable[[], None]:
    """Stop from elsewhere, with the right key.

    Raises:
        WrongAnswerError: The guardian takes what it must refuse, or refuses what is genuine.
    """
    with punctual():
        rig.begun_ns = time.monotonic_ns()
        refusal = rig.client.deliver(_sealed(rig, chance, rig.key))
    if refusal:
        raise WrongAnswerError(f"a genuine seal was refused: {refusal}")
    return lambda: None


def seal_replayed(rig: Rig, chance: random.Random) -> Callable[[], None]:
    """Stop with the right key, permit again, and then send the very same order once more.

    Raises:
        WrongAnswerError: The guardian takes what it must refuse, or refuses what is genuine.
    """
    order = _sealed(rig, chance, rig.key)
    rig.client.deliver(order)
    rig.drive()
    time.sleep(_SETTLE_S)
    rig.begun_ns = time.monotonic_ns()
    if not rig.client.deliver(order):
        raise WrongAnswerError("a replayed seal was taken")
    return lambda: None


def seal_forged(rig: Rig, chance: random.Random) -> Callable[[], None]:
    """Send stops with seals that are forged or malformed: nothing may come of them.

    Raises:
        WrongAnswerError: The guardian takes what it must refuse, or refuses what is genuine.
    """
    rig.begun_ns = time.monotonic_ns()
    wrong = [
        _sealed(rig, chance, chance.randbytes(32)),
        _sealed(rig, chance, rig.key, name="nobody"),
        _sealed(rig, chance, rig.key)[:-3],
        chance.randbytes(50).hex(),
    ]
    taken = [order for order in wrong if not rig.client.deliver(order)]
    if taken:
        raise WrongAnswerError(f"taken for genuine: {taken}")
    return lambda: None


def _sealed(rig: Rig, chance: random.Random, key: bytes, name: str = KEY_NAME) -> str:
    cause = f"campaign {chance.random()}"
    return seal(key, name, time.monotonic_ns(), op="stop", cause=cause, by="elsewhere")


def datagrams_malformed(rig: Rig, chance: random.Random) -> Callable[[], None]:
    """Send the guardian what is no request, too long, or half a request."""
    pieces = [
        b"",
        b"{",
        b"[" * 2000,
        b'{"op": "reset"}',
        b'{"op": "stop"',
        b'{"op": "condition", "name": 3}',
        b'{"op": "reset", "by": "forger", "latch": "1"}',
        b"x" * (LARGEST + 1),
        chance.randbytes(300),
        b'{"op": "unheard of"}',
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(rig.safety_dir / SOCKET))
        rig.begun_ns = time.monotonic_ns()
        for piece in pieces * 3:
            sender.send(piece)
    return lambda: None


def reset_replayed(rig: Rig, _: random.Random) -> Callable[[], None]:
    """Stop, and then send the reset that had permitted the motion before it once more."""
    status = rig.status()
    seen = status.latch if status is not None else 0
    with punctual():
        rig.begun_ns = time.monotonic_ns()
        rig.client.stop("campaign", "campaign")
    for _turn in range(3):
        rig.client.reset("replayer", latch=seen)
        time.sleep(0.25)  # further apart than one held button
    return lambda: None
