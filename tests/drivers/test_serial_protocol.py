"""The line protocol, at both ends: ours and the firmware's."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from olympus.drivers.serial_protocol import (
    ControllerInfo,
    ControllerState,
    Flag,
    Report,
    ReportReader,
    encode_neutral,
    encode_query,
    encode_speeds,
    frame,
)
from olympus.hardware.firmware import rover_base as firmware

STATE = b"S,7,1234,2,1500,-1500,31416,-31416,0,0,9807,1,2,-300,12000,450,875,1000,,2500"
SPEEDS = st.floats(-100, 100)


def read(data: bytes) -> tuple[list[Report], ReportReader]:
    reader = ReportReader()
    return list(reader.feed(data)), reader


def test_the_crc_is_the_catalogue_s() -> None:
    assert frame(b"123456789") == b"$123456789*29B1\n"
    assert firmware.crc16(b"123456789") == 0x29B1


def test_a_report_says_what_was_measured_in_si_units() -> None:
    (state,), reader = read(frame(STATE))
    assert isinstance(state, ControllerState)
    assert (state.seq, state.uptime_ms, state.flags) == (7, 1234, Flag.SILENCE)
    assert state.wheel_radps == (1.5, -1.5)
    assert state.wheel_rad == (31.416, -31.416)
    assert state.accel_mps2 == (0.0, 0.0, 9.807)
    assert (state.voltage_v, state.current_a, state.charge) == (12.0, 0.45, 0.875)
    assert state.ranges_m[::2] == (1.0, 2.5)
    assert math.isnan(state.ranges_m[1])
    assert (reader.counts.frames, reader.counts.bad) == (1, 0)


def test_a_controller_says_what_it_is_built_into() -> None:
    (info,), _ = read(frame(b"I,1,33000,160000,2000,785,0,-785"))
    assert info == ControllerInfo(0.033, 0.16, 2.0, (0.785, 0.0, -0.785))


def test_another_version_or_shape_is_counted_as_malformed() -> None:
    bodies = [b"I,2,33000,160000,2000", b"I,1,0,1,1", b"S,1,2", b"S" + b",x" * 16, b"", b"I,1"]
    bodies += [b"S,70000" + b",1" * 15, b"S" + b"," * 16, b"S,1,-1" + b",1" * 14, b"Z,1"]
    reports, reader = read(b"".join(map(frame, bodies)))
    assert reports == []
    assert reader.counts.malformed == len(bodies)


@given(st.lists(st.binary(max_size=600), max_size=20))
def test_random_bytes_are_counted_and_never_an_error(pieces: list[bytes]) -> None:
    reader = ReportReader()
    assert [report for piece in pieces for report in reader.feed(piece)] == []
    lines = b"".join(pieces).split(b"\n")[:-1]
    assert reader.counts.bad == sum(1 for line in lines if line.strip())


@given(st.binary(max_size=300), st.integers(1, 50))
def test_a_report_gets_through_whatever_stood_before_it_and_however_it_is_cut(
    noise: bytes, step: int
) -> None:
    data = noise.replace(b"\n", b" ") + frame(STATE) + frame(STATE)
    reader = ReportReader()
    found = [r for at in range(0, len(data), step) for r in reader.feed(data[at : at + step])]
    assert found[-1] == read(frame(STATE))[0][0]
    assert len(found) >= 1


@given(st.integers(0, len(STATE) + 6), st.integers(1, 255))
def test_one_wrong_byte_gives_no_report(at: int, difference: int) -> None:
    data = bytearray(frame(STATE) + b"\n")
    data[at] ^= difference
    reports, reader = read(bytes(data))
    assert reports == []
    assert reader.counts.bad >= 1


@given(st.integers(0, 100_000), SPEEDS, SPEEDS)
def test_the_firmware_understands_what_we_say(seq: int, left: float, right: float) -> None:
    fields = ["W", str(seq % 65536), str(round(left * 1000)), str(round(right * 1000))]
    assert firmware.unframe(encode_speeds(seq, left, right)[:-1]) == fields
    assert firmware.unframe(encode_neutral(seq)[:-1]) == ["N", str(seq % 65536)]


@given(SPEEDS, SPEEDS, st.integers(0, 65535))
def test_every_byte_of_a_command_is_printable_but_the_end_of_its_line(
    left: float, right: float, seq: int
) -> None:
    for data in (encode_speeds(seq, left, right), encode_neutral(seq), encode_query()):
        assert data.endswith(b"\n")
        assert all(0x20 <= byte < 0x7F for byte in data[:-1])


@given(st.binary(max_size=100))
def test_the_firmware_takes_no_frame_from_random_bytes(data: bytes) -> None:
    assert firmware.unframe(data) is None
