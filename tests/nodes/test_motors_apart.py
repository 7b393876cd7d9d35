"""Motors in a process of their own, on a real port, before a real guardian.

The controller at the other end holds its last command: whoever is frozen or killed, somebody else
must say neutral.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
import tty
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.drivers.base import BaseState, RoverBase
from olympus.drivers.registry import register
from olympus.drivers.serial_protocol import SEQ_RANGE
from olympus.nodes.motor_hand import MotorHand
from olympus.nodes.motor_loop import Order
from olympus.nodes.motor_process import MotorProcess
from olympus.nodes.motor_wire import LARGEST, MotorSpec, Packet, receive, send, wait_at_most
from olympus.nodes.motors_apart import ApartBase, ApartMotors
from olympus.runtime.config import Session
from olympus.runtime.errors import DeviceError, MessageError
from olympus.runtime.messages import Twist
from olympus.runtime.safety.gate import Applied, Command
from olympus.runtime.safety.neutral_line import NeutralLine
from olympus.sim.campaign.watching import Watching

TWIST = Twist(linear_mps=0.1, angular_radps=0.0)
OTHER_HANDS = (SEQ_RANGE - 1, SEQ_RANGE - 2)
"""The numbers of neutral frames that come from the guardian's hand and from the drive's."""


def until(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


class Rig:
    """A commander at 50 Hz, motors apart, an observer as the motors."""

    def __init__(self, session: Session, observer: Watching) -> None:
        self.observer = observer
        self.applied: list[tuple[Applied, Order | None]] = []
        spec = MotorSpec(
            source=f"serial://{observer.link}",
            session=session,
            top_radps=10.0,
            slew_radps2=200.0,
            max_age_ms=200.0,
            category=0,
            rate_hz=50.0,
            report_hz=5.0,
            priority=20,
        )
        self.base = ApartBase(
            spec, tell=lambda applied, order, _: self.applied.append((applied, order))
        )
        self.motors = ApartMotors(self.base)
        self.is_commanding = True
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._command)

    def __enter__(self) -> Rig:
        self.base.open()
        self.motors.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.motors.stop()
        self.base.close()

    def _command(self) -> None:
        while not self._end.wait(0.02):
            if self.is_commanding:
                self.motors.obey(Order(TWIST, Command((3.0, 3.0), time.monotonic_ns())))

    def drive(self, guardian: Any) -> None:
        until(lambda: guardian.is_ready)
        guardian.permit()
        until(lambda: self.observer.is_driven)


@pytest.fixture
def rig(session: Session, tmp_path: Path) -> Iterator[Rig]:
    with Watching(tmp_path / "ttyROVER") as observer, Rig(session, observer) as one:
        yield one


def test_orders_go_through_and_tell_what_became_of_them(rig: Rig, guardian_of_drive: Any) -> None:
    assert rig.base.wheel_radius_m > 0
    rig.drive(guardian_of_drive)
    until(lambda: rig.base.state().left_radps > 2.0)
    until(lambda: rig.applied[-1][0].reason.name == "OK")
    until(lambda: rig.applied[-1][1] is not None and rig.applied[-1][1].twist is TWIST)
    assert rig.motors.counts["ok"] > 0
    outcome = guardian_of_drive.client.stop("test")
    assert outcome.is_confirmed, outcome
    assert "at neutral: drive" in outcome.text
    gate = guardian_of_drive.client.status().gates[0]
    assert (gate.is_neutral, gate.is_still) == (True, True)
    with pytest.raises(DeviceError, match="an order, not speeds"):
        rig.base.command(1.0, 1.0)


def test_the_hand_on_the_port_is_as_urgent_as_the_gate(rig: Rig) -> None:
    (hand,) = (one.native_id for one in threading.enumerate() if one.name == "apart")
    assert hand is not None
    found = os.sched_getscheduler(hand), os.sched_getparam(hand).sched_priority
    gate = os.sched_getscheduler(rig.base.pid), os.sched_getparam(rig.base.pid).sched_priority
    if gate == (os.SCHED_OTHER, 0):
        pytest.skip("no real-time priority is granted here (RLIMIT_RTPRIO, CAP_SYS_NICE)")
    assert found == (os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 20)


def test_a_process_that_can_not_be_started_for_want_of_descriptors_is_a_base_that_is_not_there(
    rig: Rig,
) -> None:
    rig.motors.stop()
    rig.base.close()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(DeviceError, match=r"start their process: .*Too many open"):
            rig.base.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    rig.base.open()  # the next try finds it as it was


def test_commands_that_stop_coming_stop_the_motors(rig: Rig, guardian_of_drive: Any) -> None:
    rig.drive(guardian_of_drive)
    rig.is_commanding = False
    until(lambda: not rig.observer.is_driven)
    until(lambda: rig.motors.counts.get("stale", 0) > 0)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_gate_that_is_frozen_or_dead_is_spoken_for(
    rig: Rig, guardian_of_drive: Any, number: signal.Signals
) -> None:
    rig.drive(guardian_of_drive)
    pid = rig.base.pid
    begun_ns = time.monotonic_ns()
    os.kill(pid, number)
    until(lambda: not rig.observer.is_driven)
    assert rig.observer.changes[-1].seq in OTHER_HANDS
    until(lambda: not guardian_of_drive.client.status().is_permitted)
    status = guardian_of_drive.client.status()
    how = "is stopped" if number == signal.SIGSTOP else "has ended"
    assert status.cause == f"gate drive: process {pid} {how}"
    os.kill(pid, signal.SIGCONT)
    time.sleep(0.3)
    assert rig.observer.neutral_after(begun_ns) is not None  # nothing goes on by itself


def test_guardian_and_gate_frozen_at_once_leave_the_drive(rig: Rig, guardian_of_drive: Any) -> None:
    rig.drive(guardian_of_drive)
    guardian = guardian_of_drive.client.status().pid
    for pid in (guardian, rig.base.pid):
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: not rig.observer.is_driven)
        assert rig.observer.changes[-1].seq == OTHER_HANDS[1]
    finally:
        for pid in (guardian, rig.base.pid):
            os.kill(pid, signal.SIGCONT)


def test_the_process_speaks_more_often_than_it_measures(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: Counter[str] = Counter()
    take = rig.base._take

    def count(packet: Packet) -> None:
        kinds[packet.kind] += 1
        take(packet)

    monkeypatch.setattr(rig.base, "_take", count)
    until(lambda: kinds["beat"] >= 20)
    assert kinds["state"] <= kinds["beat"]


def test_a_process_that_ended_is_told_and_can_be_opened_again(rig: Rig) -> None:
    os.kill(rig.base.pid, signal.SIGKILL)
    until(lambda: "has ended" in str(failure(rig.base)))
    rig.base.close()
    rig.base.open()
    assert rig.base.state().charge > 0


def failure(base: ApartBase) -> DeviceError | None:
    try:
        base.state()
    except DeviceError as error:
        return error
    return None


def nowhere(session: Session, source: str = "serial:///dev/nowhere") -> MotorSpec:
    return MotorSpec(
        source=source,
        session=session,
        top_radps=10.0,
        slew_radps2=200.0,
        max_age_ms=200.0,
        category=0,
        rate_hz=50.0,
        report_hz=50.0,
    )


def test_a_base_that_is_not_there_is_refused_with_its_reason(session: Session) -> None:
    base = ApartBase(nowhere(session), tell=lambda *_: None)
    with pytest.raises(DeviceError, match="no such device"):
        base.open()


@pytest.mark.parametrize("how", ["closed", "left", "garbled"])
def test_a_process_that_closes_its_gate_says_why(
    rig: Rig, guardian_of_drive: Any, how: str
) -> None:
    rig.drive(guardian_of_drive)
    end = rig.base._end
    assert end is not None
    if how == "closed":
        rig.base.close("the drive opens its base again: no report")
        why = "the drive opens its base again: no report"
    elif how == "left":
        end.shutdown(socket.SHUT_RDWR)
        why = "the drive is gone"
    else:
        end.send(b"{")
        why = "their process fails: MessageError: no packet of theirs (JSONDecodeError)"
    until(lambda: not guardian_of_drive.client.status().is_permitted)
    trip = guardian_of_drive.client.status().trips[0]
    assert trip.cause.startswith(f"gate drive: closed: {why}"), trip


def test_a_stop_is_read_back_from_a_gate_whose_drive_was_killed_and_is_not_back(
    rig: Rig, guardian_of_drive: Any
) -> None:
    rig.drive(guardian_of_drive)
    end = rig.base._end
    assert end is not None
    end.shutdown(socket.SHUT_RDWR)
    until(lambda: not guardian_of_drive.client.status().is_permitted)
    outcome = guardian_of_drive.client.stop("test")
    assert outcome.is_confirmed, outcome


def test_a_process_that_was_killed_a_moment_ago_does_not_spoil_the_next_one(rig: Rig) -> None:
    for _ in range(3):
        os.kill(rig.base.pid, signal.SIGKILL)
        time.sleep(0.1)  # the hand on the port still says neutral in its place
        rig.base.close()
        rig.base.open()
        assert rig.base.state().charge > 0


class Hand:
    """Motors apart with nobody in between: a port that is read here, and any process."""

    def __init__(self, session: Session) -> None:
        self.leader, self._follower = os.openpty()
        os.set_blocking(self.leader, False)
        tty.setraw(self._follower)
        self.base = ApartBase(nowhere(session), tell=lambda *_: None)
        self.port, self.frame = os.ttyname(self._follower), b"$N\n".hex()
        self.hand = self.base._hand
        self.hand.take_hold(self.port, self.frame)

    def heard(self) -> bytes:
        heard = b""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.leader, 4096):
                heard += piece
        return heard

    def close(self) -> None:
        self.hand.let_go()
        os.close(self.leader)
        os.close(self._follower)


@pytest.fixture
def hand(session: Session) -> Iterator[Hand]:
    one = Hand(session)
    yield one
    one.close()


def test_a_port_that_was_full_when_the_process_ended_hears_neutral_once_it_has_room(
    hand: Hand,
) -> None:
    while hand.hand.write():
        pass
    is_over = threading.Event()
    insisting = threading.Thread(target=hand.hand.insist, args=(60.0, is_over.is_set))
    insisting.start()
    time.sleep(0.1)
    hand.heard()  # there is room now
    until(lambda: hand.heard().endswith(b"$N\n"))
    is_over.set()
    insisting.join()


def test_a_process_that_ended_is_told_at_once_and_neutral_is_said_on_until_the_next_is_ready(
    hand: Hand, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Whoever reads a stop back waits for a gate: a new process must not wait for the old hand."""
    base, ended = hand.base, subprocess.Popen(["true"])
    ended.wait()  # before: neutral is said for a second, in which a busy machine may start nothing
    base._end, base._is_ready = pair[0], True
    hearing = threading.Thread(target=base._hear, args=(pair[0],))
    hearing.start()
    pair[1].close()
    until(lambda: "has ended" in str(failure(base)))
    assert hearing.is_alive()
    assert b"$N\n" in hand.heard()  # said before anything else
    base._process = ended
    base.close()
    hand.heard()
    until(lambda: b"$N\n" in hand.heard())
    base._is_ready = True
    hearing.join(0.9)
    assert not hearing.is_alive()


def test_neutral_is_said_while_a_process_that_is_let_go_does_not_end(hand: Hand) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    hand.base._end = ours
    hand.base._process = process = subprocess.Popen(["sleep", "60"])
    hand.base.close()
    assert process.returncode == -signal.SIGKILL
    assert hand.heard().count(b"$N\n") > 1
    for one in (ours, theirs):
        one.close()


def test_a_drive_that_may_have_no_descriptors_hears_and_commands_its_motors_all_the_same(
    rig: Rig, guardian_of_drive: Any
) -> None:
    rig.drive(guardian_of_drive)
    pid, limits = rig.base.pid, resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        time.sleep(0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert guardian_of_drive.client.status().is_permitted
    assert rig.observer.is_driven
    assert rig.base.state().charge > 0
    assert rig.base.pid == pid


def test_a_side_that_says_nothing_is_not_one_that_is_gone() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wait_at_most(ours, 0.01)
    with pytest.raises(TimeoutError):
        receive(ours)
    assert send(theirs, "beat")
    packet = receive(ours)
    assert packet is not None and packet.kind == "beat"
    wait_at_most(ours, 60.25)  # it can be said anew, and need not be below a second
    assert struct.unpack("@ll", ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)) == (
        60,
        pytest.approx(250_000, abs=10_000),
    )
    theirs.close()
    assert receive(ours) is None
    ours.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_what_is_too_large_or_no_packet_is_refused_on_either_side(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    room = LARGEST - len('{"kind": "trouble", "text": ""}')
    assert send(theirs, "trouble", text="x" * room)
    packet = receive(ours)
    assert packet is not None and len(packet.told["text"]) == room
    with pytest.raises(MessageError, match=f"'trouble' of 65537 bytes, at most {LARGEST}"):
        send(theirs, "trouble", text="x" * (room + 1))
    for raw in (b"x" * (LARGEST + 1), b"{", b"[]", b"{}", b"\xff", b"[" * 5000):
        theirs.send(raw)
        with pytest.raises(MessageError, match=r"cut off at|no packet of theirs"):
            receive(ours)
    assert send(theirs, "beat")  # what follows is taken
    assert receive(ours) == Packet("beat", {})


def test_what_can_not_be_taken_is_counted_and_the_hearing_goes_on(
    hand: Hand, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    base = hand.base
    base._end = ours
    hearing = threading.Thread(target=base._hear, args=(ours,))
    hearing.start()
    try:
        for raw in (b"x" * (LARGEST + 1), b"{", b'{"kind": "state"}', b'{"kind": "ready"}'):
            theirs.send(raw)
        theirs.send(b'{"kind": "applied", "reason": 99}')
        theirs.send(b'{"kind": "beat", "counts": 3}')
        until(lambda: base.refused == 6)
        assert base.counts["refused_packets"] == 6
        error = failure(base)
        assert error is not None and "can't be taken: " in str(error)
        send(theirs, "trouble", text="hot")
        until(lambda: str(failure(base)) == "hot")
        before = hand.heard().count(b"$N\n")
        until(lambda: base._state is None and hearing.is_alive())
        send(theirs, "ready", wheel_radius_m=0.1, track_m=0.3, neutral=["", ""])
        until(lambda: hand.heard().count(b"$N\n") > before)  # and so does the hand on the port
    finally:
        base._end = None
        theirs.close()
        hearing.join()


class HugeBase(RoverBase):
    """Measures more than fits."""

    def __init__(self, location: str, **_: object) -> None:
        super().__init__()

    def open(self) -> None: ...

    def close(self) -> None: ...

    def command(self, left_radps: float, right_radps: float) -> None: ...

    def neutral(self) -> None: ...

    def state(self) -> BaseState:
        none, many = np.zeros(3, np.float32), np.full(9000, 1 / 3, np.float32)
        return BaseState(0, 0, 0, 0, none, none, many, many, 9.0, 24.0, 1.0, 0.5, stamp_ns=1)


def test_a_measurement_that_does_not_fit_is_told_as_trouble(
    session: Session, pair: tuple[socket.socket, socket.socket]
) -> None:
    register("base", "huge", HugeBase)
    ours, theirs = pair
    MotorProcess(nowhere(session, "huge://base"), theirs)._report_state()
    packet = receive(ours)
    assert packet is not None and packet.kind == "trouble"
    assert "'state' of" in packet.told["text"]
    assert f"at most {LARGEST}" in packet.told["text"]


class HeldLine(NeutralLine):
    """A hand that is put aside just before it writes."""

    def __init__(self, device: Path, frame: bytes) -> None:
        super().__init__(device, frame)
        self.is_held, self.go = threading.Event(), threading.Event()

    def write(self) -> bool:
        self.is_held.set()
        assert self.go.wait(15)
        return super().write()


def test_the_hand_on_the_port_never_writes_to_a_descriptor_that_was_closed(
    hand: Hand, pair: tuple[socket.socket, socket.socket]
) -> None:
    lines: list[HeldLine] = []

    def held(device: Path, frame: bytes) -> NeutralLine:
        lines.append(HeldLine(device, frame))
        return lines[0]

    hand.base._hand = MotorHand(held)
    hand.base._hand.take_hold(hand.port, hand.frame)
    (line,) = lines
    hand.base._end, hand.base._process = pair[0], subprocess.Popen(["true"])
    writing = threading.Thread(target=hand.base._hand.write)
    writing.start()
    assert line.is_held.wait(15)
    closing = threading.Thread(target=hand.base.close)
    closing.start()
    closing.join(0.3)  # as long as it would take, did it not wait
    taken = os.open("/dev/null", os.O_WRONLY)
    line.go.set()
    closing.join(15)
    writing.join(15)
    os.close(taken)
    assert not writing.is_alive() and not closing.is_alive()
    assert not line.is_lost
    assert hand.heard().count(b"$N\n") == 1


def test_a_port_that_is_told_of_after_the_base_was_closed_is_not_opened(hand: Hand) -> None:
    hand.hand.let_go()
    hand.hand.take_hold(hand.port, hand.frame)
    assert not hand.hand.is_of_use
    assert not hand.hand.write()
