"""The Linux watchdog as a backstop; the real driver is tried in the virtual machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.hardware.watchdog import ENDS, Options, Watchdog, backstop
from olympus.hardware.watchdog_device import Ability, Identity, WatchdogDevice, is_nowayout
from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.safety.backstop import Outlook

MS = 1_000_000


class Dog:
    """A watchdog that can't count below 3 s and remembers what was done to it."""

    def __init__(self) -> None:
        self.abilities = Ability.SET_TIMEOUT | Ability.MAGIC_CLOSE
        self.boot = Ability(0)
        self.pings = 0
        self.is_gone = False
        self.disarmed: bool | None = None

    def identity(self) -> Identity:
        return Identity("dog", self.abilities, 1)

    def boot_status(self) -> Ability:
        return self.boot

    def set_timeout(self, wanted_s: int) -> int:
        return max(3, wanted_s)

    def set_pretimeout(self, before_s: int) -> bool:
        return Ability.PRETIMEOUT in self.abilities

    def left_s(self) -> int | None:
        return None

    def ping(self) -> None:
        if self.is_gone:
            raise DeviceError("gone")
        self.pings += 1

    def close(self, *, disarm: bool) -> None:
        self.disarmed = disarm


def outlook(now_ms: int, *, is_permitted: bool = False, is_neutral: bool = True) -> Outlook:
    return Outlook(now_ms * MS, 1, is_permitted, None, is_neutral)


@pytest.fixture
def dog() -> Dog:
    return Dog()


def test_nothing_is_armed_before_the_first_feed(dog: Dog) -> None:
    armed = []
    watchdog = Watchdog(Options("disarm"), lambda: armed.append(1) or dog)  # type: ignore[func-returns-value]
    watchdog.close(is_neutral=True)
    assert not armed
    assert dog.disarmed is None


def test_it_is_fed_ten_times_a_second_whatever_the_state(dog: Dog) -> None:
    watchdog = Watchdog(Options("disarm"), lambda: dog)
    for now_ms in range(1000, 2000, 10):
        report = watchdog.feed(outlook(now_ms, is_permitted=now_ms % 20 == 0, is_neutral=False))
        assert report.problem == ""
    assert 10 <= dog.pings <= 12


def test_what_the_device_is_and_can_not_do_is_told(dog: Dog) -> None:
    dog.boot = Ability.CARD_RESET
    dog.abilities |= Ability.ALARM_ONLY
    watchdog = Watchdog(Options("bite", timeout_s=2, pretimeout_s=1), lambda: dog)
    report = watchdog.feed(outlook(1000))
    for words in (
        "dog armed, bites after 3 s",
        "can't count to 2 s",
        "has no pretimeout",
        "only tells",
        "the last boot was its doing",
    ):
        assert words in report.text
    assert report.facts["has_bitten"] is True
    assert report.facts["timeout_s"] == 3


@pytest.mark.parametrize(
    ("at_end", "is_neutral", "disarmed"),
    [
        ("disarm", True, True),
        ("disarm", False, False),
        ("bite", True, False),
        ("bite", False, False),
    ],
)
def test_it_is_disarmed_only_when_asked_to_and_at_neutral(
    dog: Dog, at_end: str, is_neutral: bool, disarmed: bool
) -> None:
    watchdog = Watchdog(Options(at_end), lambda: dog)
    watchdog.feed(outlook(1000))
    watchdog.close(is_neutral=is_neutral)
    assert dog.disarmed is disarmed


def test_an_actuator_driven_long_after_a_trip_ends_the_feeding_if_so_configured(dog: Dog) -> None:
    watchdog = Watchdog(Options("bite", unstopped_s=0.5), lambda: dog)
    for now_ms in range(1000, 1500, 10):
        assert not watchdog.feed(outlook(now_ms, is_neutral=False)).problem
    before = dog.pings
    for now_ms in range(1500, 2000, 10):
        assert "will restart" in watchdog.feed(outlook(now_ms, is_neutral=False)).problem
    assert dog.pings == before
    assert not watchdog.feed(outlook(2000, is_neutral=True)).problem
    assert dog.pings == before + 1


def test_a_device_that_is_gone_is_opened_again(dog: Dog) -> None:
    watchdog = Watchdog(Options("bite"), lambda: dog)
    watchdog.feed(outlook(1000))
    dog.is_gone = True
    with pytest.raises(DeviceError, match="gone"):
        watchdog.feed(outlook(1100))
    with pytest.raises(DeviceError, match="tried again"):
        watchdog.feed(outlook(1110))
    dog.is_gone = False
    assert watchdog.feed(outlook(2200)).problem == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "the option 'at_end' is missing"),
        ({"at_end": "maybe"}, "must be disarm or bite"),
        ({"at_end": "bite", "timeout_s": 0}, "1..60"),
        ({"at_end": "bite", "timeout_s": 2, "pretimeout_s": 2}, "pretimeout_s=2"),
        ({"at_end": "bite", "unstopped_s": 0.1}, "0.5..60"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        backstop(options)
    assert words in str(raised.value)


def test_a_missing_watchdog_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="load the board's watchdog driver"):
        WatchdogDevice(str(tmp_path / "watchdog0"))


def test_what_is_no_watchdog_is_told_and_left_as_it_is(
    tmp_path: Path, open_files: Callable[[Path], list[Path]]
) -> None:
    path = tmp_path / "notes"
    path.write_bytes(b"precious")
    for at_end in ENDS:
        watchdog = backstop({"at_end": at_end, "device": str(path)})
        with pytest.raises(DeviceError, match=r"notes is no watchdog: .* ioctl"):
            watchdog.feed(outlook(1000))
        watchdog.close(is_neutral=True)
    assert path.read_bytes() == b"precious"
    assert open_files(tmp_path) == []


def test_a_pipe_in_the_place_of_a_watchdog_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "watchdog0")
    with pytest.raises(DeviceError, match="No such device"):
        WatchdogDevice(str(tmp_path / "watchdog0"))


class Mute(WatchdogDevice):
    """A device that says what it is and takes nothing else."""

    def identity(self) -> Identity:
        return Identity("mute", Ability(0), 0)


def test_a_watchdog_that_takes_no_timeout_is_told_and_can_be_disarmed(tmp_path: Path) -> None:
    (tmp_path / "watchdog0").touch()
    device = Mute(str(tmp_path / "watchdog0"))
    with pytest.raises(DeviceError, match="takes no timeout of 59 to 60 s"):
        device.set_timeout(59)
    assert device.timeout_s() is None
    device.close(disarm=True)
    assert (tmp_path / "watchdog0").read_bytes() == b"V"


def test_nowayout_is_read_from_the_kernel(tmp_path: Path) -> None:
    assert is_nowayout("/dev/watchdog", tmp_path) is None
    (tmp_path / "watchdog0").mkdir()
    (tmp_path / "watchdog0" / "nowayout").write_text("1\n")
    assert is_nowayout("/dev/watchdog", tmp_path) is True
    (tmp_path / "watchdog0" / "nowayout").write_text("0\n")
    assert is_nowayout("/dev/watchdog0", tmp_path) is False


class Stubborn(Dog):
    """A watchdog that takes no timeout."""

    def set_timeout(self, wanted_s: int) -> int:
        raise DeviceError("takes no timeout")


def test_a_watchdog_that_can_not_be_set_up_is_disarmed_and_free_for_the_next_try(
    dog: Dog,
) -> None:
    dogs: list[Dog] = [Stubborn(), dog]
    stubborn = dogs[0]
    watchdog = Watchdog(Options("bite"), lambda: dogs.pop(0))
    with pytest.raises(DeviceError, match="takes no timeout"):
        watchdog.feed(outlook(1000))
    assert stubborn.disarmed is True
    assert watchdog.feed(outlook(2001)).problem == ""
    assert (dog.pings, dog.disarmed) == (1, None)
