"""The dead-man relay's logic under Python, millisecond by millisecond."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.hardware import relay_protocol as protocol
from olympus.hardware.firmware.dead_man import dead_man
from olympus.hardware.firmware.dead_man.dead_man import Config, Contact, Relay
from olympus.hardware.relay_protocol import Cause, RelayReport, ReportReader, arm, frame, pulse


class Coil(Contact):
    """A contact that follows its coil after 10 ms, unless it is stuck."""

    def __init__(self) -> None:
        self.is_driven = False
        self.stuck: bool | None = None
        self.now_ms = self.since_ms = 0
        self._random = random.Random(1)

    def drive(self, is_closed: bool) -> None:
        if is_closed != self.is_driven:
            self.is_driven, self.since_ms = is_closed, self.now_ms

    def is_closed(self) -> bool:
        if self.stuck is not None:
            return self.stuck
        return self.is_driven if self.now_ms - self.since_ms >= 10 else not self.is_driven

    def challenge(self) -> int:
        return self._random.randrange(65536)


class Bench:
    """A relay and time that passes when told."""

    def __init__(self) -> None:
        self.coil = Coil()
        self.coil.since_ms = -10
        self.relay = Relay(self.coil, Config())
        self.reader = ReportReader()
        self.seq = 0
        self.last: RelayReport | None = None
        self.forward(100)

    def hear(self, data: bytes) -> None:
        for report in self.reader.feed(self.relay.step(self.coil.now_ms, data)):
            self.last = report

    def forward(self, ms: int, *, pulses: bool = False) -> None:
        for _ in range(ms):
            self.coil.now_ms += 1
            data = b""
            if pulses and self.coil.now_ms % 20 == 0:
                self.seq += 1
                data = pulse(self.seq, self.relay.challenge)
            self.hear(data)

    def arm(self) -> None:
        self.hear(arm(self.seq, self.relay.challenge))

    @property
    def cause(self) -> Cause:
        return Cause(self.relay.cause)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_both_sides_share_one_checksum_and_one_version() -> None:
    assert dead_man.crc16(b"123456789") == 0x29B1
    assert dead_man.frame("Q") == frame(b"Q")
    assert dead_man.VERSION == protocol.VERSION
    causes = ("BOOT", "SILENCE", "ASKED", "NO_CONTACT", "WELDED")
    assert [getattr(dead_man, name) for name in causes] == [Cause[name] for name in causes]


@given(st.binary(max_size=30).filter(lambda body: b"\n" not in body and b"$" not in body))
def test_a_frame_is_read_back_as_it_was_written(body: bytes) -> None:
    assert b",".join(dead_man.unframe(frame(body)[:-1])) == body or not body
    assert dead_man.crc16(body) == int(frame(body)[-5:-1], 16)


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_no_frame_can_interrupt_a_prompt(seq: int, challenge: int) -> None:
    for data in (arm(seq, challenge), pulse(seq, challenge), frame(b"O"), frame(b"Q")):
        assert all(0x20 <= byte < 0x7F for byte in data[:-1])
        assert data[-1:] == b"\n"
        assert len(data) <= dead_man.LONGEST_LINE


def test_it_is_open_at_power_up_and_pulses_alone_never_close_it(bench: Bench) -> None:
    assert bench.last is not None
    assert (bench.last.text, bench.last.cause) == ("open", Cause.BOOT)
    bench.forward(1000, pulses=True)
    assert not bench.coil.is_driven


def test_armed_it_stays_closed_while_pulses_come(bench: Bench) -> None:
    bench.arm()
    assert bench.coil.is_driven
    bench.forward(5000, pulses=True)
    assert bench.coil.is_driven
    assert bench.last is not None
    assert bench.last.text == "closed"
    assert bench.last.longest_gap_ms == 20
    assert bench.last.closings == 1


def test_it_opens_within_a_millisecond_after_its_limit_and_latches(bench: Bench) -> None:
    bench.arm()
    bench.forward(400, pulses=True)
    bench.forward(100 - bench.coil.now_ms % 20)
    assert bench.coil.is_driven
    bench.forward(1)
    assert not bench.coil.is_driven
    assert bench.cause is Cause.SILENCE
    bench.forward(2000, pulses=True)
    assert not bench.coil.is_driven


def test_four_lost_pulses_are_borne_and_a_sixth_is_out_of_the_window(bench: Bench) -> None:
    bench.arm()
    bench.seq += 4
    bench.forward(60, pulses=True)
    assert bench.relay.seq == bench.seq
    bench.seq += 5
    before = bench.relay.seq
    bench.forward(20, pulses=True)
    assert bench.relay.seq == before


def test_the_sequence_wraps(bench: Bench) -> None:
    bench.seq = 65534
    bench.arm()
    for seq in (65535, 0, 1):
        bench.hear(pulse(seq, bench.relay.challenge))
        assert bench.relay.seq == seq


def test_a_pulse_played_again_does_not_count(bench: Bench) -> None:
    bench.arm()
    again = pulse(1, bench.relay.challenge)
    for _ in range(30):
        bench.hear(again)
        bench.forward(10)
    assert not bench.coil.is_driven
    assert bench.cause is Cause.SILENCE


def test_a_whole_recording_played_again_closes_nothing(bench: Bench) -> None:
    challenge = bench.relay.challenge
    recording = [arm(0, challenge), *(pulse(seq, challenge) for seq in range(1, 50))]
    for data in recording:
        bench.hear(data)
        bench.forward(20)
    assert bench.coil.is_driven
    bench.forward(300)
    for data in recording:
        bench.hear(data)
        bench.forward(20)
        assert not bench.coil.is_driven


def test_it_opens_when_asked_without_order_or_challenge(bench: Bench) -> None:
    bench.arm()
    bench.forward(100, pulses=True)
    bench.hear(frame(b"O"))
    assert not bench.coil.is_driven
    assert bench.cause is Cause.ASKED


@pytest.mark.parametrize("wrong", [-1, 1])
def test_an_arm_frame_needs_the_newest_challenge(bench: Bench, wrong: int) -> None:
    bench.hear(arm(0, (bench.relay.challenge + wrong) % 65536))
    assert not bench.coil.is_driven


def test_an_arm_frame_while_closed_counts_as_no_pulse(bench: Bench) -> None:
    bench.arm()
    for _ in range(15):
        bench.forward(10)
        bench.hear(arm(0, bench.relay.challenge))
    assert bench.cause is Cause.SILENCE


def test_it_must_rest_before_it_closes_again(bench: Bench) -> None:
    bench.arm()
    bench.hear(frame(b"O"))
    bench.arm()
    assert not bench.coil.is_driven
    bench.forward(61)
    bench.arm()
    assert bench.coil.is_driven


def test_a_welded_contact_is_found_and_never_armed_again(bench: Bench) -> None:
    bench.arm()
    bench.forward(100, pulses=True)
    bench.coil.stuck = True
    bench.forward(200)
    assert bench.cause is Cause.WELDED
    assert bench.last is not None
    assert bench.last.text == "contact closed though not driven"
    bench.coil.stuck = None
    bench.forward(500)
    bench.arm()
    assert not bench.coil.is_driven
    assert bench.cause is Cause.WELDED


def test_a_contact_that_does_not_close_is_found(bench: Bench) -> None:
    bench.coil.stuck = False
    bench.arm()
    bench.forward(60, pulses=True)
    assert bench.coil.is_driven
    bench.forward(2, pulses=True)
    assert bench.cause is Cause.NO_CONTACT
    assert not bench.coil.is_driven


def test_a_question_is_answered_at_once(bench: Bench) -> None:
    bench.last = None
    bench.hear(b"")
    bench.hear(frame(b"Q"))
    assert bench.last is not None


def test_random_bytes_never_close_it(bench: Bench) -> None:
    noise = random.Random(7)
    for _ in range(300_000 // 50):
        bench.coil.now_ms += 5
        bench.hear(noise.randbytes(50))
        assert not bench.coil.is_driven
    bench.hear(b"\n")
    bench.arm()
    assert bench.coil.is_driven  # and it still works


def test_frames_with_one_bit_changed_never_close_it(bench: Bench) -> None:
    good = arm(0, bench.relay.challenge)
    for at in range(len(good) * 8):
        bad = bytearray(good)
        bad[at // 8] ^= 1 << at % 8
        bench.hear(bytes(bad) + b"\n")
        assert not bench.coil.is_driven, bytes(bad)


@given(st.lists(st.sampled_from(["arm", "pulse", "old", "open", "noise", "wait", "long"])))
def test_it_is_never_closed_without_a_fresh_pulse_whatever_arrives(acts: list[str]) -> None:
    bench = Bench()
    heard_ms = 0
    for act in acts:
        if act == "arm":
            is_new = not bench.coil.is_driven
            bench.arm()
            heard_ms = bench.coil.now_ms if is_new and bench.coil.is_driven else heard_ms
        elif act == "pulse":
            before = bench.relay.seq
            bench.hear(pulse(bench.relay.seq + 1, bench.relay.challenge))
            heard_ms = bench.coil.now_ms if bench.relay.seq != before else heard_ms
        elif act == "old":
            bench.hear(pulse(bench.relay.seq, bench.relay.challenge))
        elif act in ("open", "noise"):
            bench.hear(frame(b"O") if act == "open" else b"$P,1,1*0000\n\x03\xff")
        else:
            bench.forward(30 if act == "wait" else 101)
        if bench.coil.is_driven:
            assert bench.coil.now_ms - heard_ms <= 100
