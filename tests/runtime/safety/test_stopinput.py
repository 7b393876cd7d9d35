"""The stop input: pressed, cut, lost and unreadable all stop; only a quiet release counts."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.safety.gpio_line import Flags, GpioLine, Place, find
from olympus.runtime.safety.settings import Settings, load
from olympus.runtime.safety.stopinput import (
    NAME,
    RETRY_NS,
    FileContact,
    StopButton,
    StopInput,
    read_stop_input,
    written,
)

MS = 1_000_000
RELEASE_NS = 100 * MS


@pytest.fixture
def contact(tmp_path: Path) -> Path:
    file = tmp_path / "value"
    file.write_text("0\n")
    return file


@pytest.fixture
def button(contact: Path) -> Iterator[StopButton]:
    one = StopButton(StopInput(file=str(contact)), 0)
    yield one
    one.close()


def released(button: StopButton) -> StopButton:
    assert button.look(RELEASE_NS) is None
    assert button.problem() == ""
    return button


def test_at_the_start_it_counts_as_pressed_until_it_was_quiet(button: StopButton) -> None:
    assert button.look(RELEASE_NS - 1) is None
    assert "is pressed, or its wire is cut" in button.problem()
    released(button)


def test_pressed_at_the_start_stands_against_motion_and_is_no_new_stop(
    contact: Path, button: StopButton
) -> None:
    contact.write_text("1\n")
    assert button.look(RELEASE_NS) is None
    assert button.look(2 * RELEASE_NS) is None
    assert button.problem().startswith(f"{NAME}: {contact} is pressed")


@pytest.mark.parametrize("level", ["1\n", "", "nonsense", "00", "0 ", "0\n1", " 0"])
def test_whatever_is_not_a_closed_contact_stops_at_the_next_look(
    contact: Path, button: StopButton, level: str
) -> None:
    released(button)
    contact.write_text(level)
    trip = button.look(RELEASE_NS + 1)
    assert trip is not None
    assert (trip.cause, trip.by, trip.at_ns, trip.is_kill) == (
        "stop input pressed or cut",
        NAME,
        RELEASE_NS + 1,
        False,
    )
    assert button.presses == 1


def test_one_press_is_one_stop_and_its_release_counts_only_when_quiet(
    contact: Path, button: StopButton
) -> None:
    released(button)
    contact.write_text("1")
    assert button.look(200 * MS) is not None
    assert button.look(210 * MS) is None  # the same press
    contact.write_text("0")
    assert button.look(220 * MS) is None
    assert button.problem()
    contact.write_text("1")  # it bounces
    assert button.look(230 * MS) is None
    contact.write_text("0")
    assert button.look(230 * MS + RELEASE_NS - 1) is None
    assert button.problem()
    assert button.look(230 * MS + RELEASE_NS) is None
    assert button.problem() == ""
    contact.write_text("1")
    assert button.look(400 * MS) is not None  # a new press
    assert button.presses == 2


def test_a_lost_input_stops_is_named_and_found_again(contact: Path, button: StopButton) -> None:
    released(button)
    contact.unlink()
    trip = button.look(200 * MS)
    assert trip is not None
    assert trip.cause == "stop input lost"
    assert f"{contact} is gone" in trip.evidence
    assert button.look(210 * MS) is None
    assert "No such file" in button.problem()
    contact.write_text("0")
    back_ns = 200 * MS + 2 * RETRY_NS
    assert button.look(back_ns) is None
    assert button.openings == 2
    assert button.look(back_ns + RELEASE_NS) is None
    assert button.problem() == ""


def test_a_lone_zero_is_a_closed_contact_with_and_without_an_end_of_line(contact: Path) -> None:
    for level in ("0", "0\n"):
        contact.write_text(level)
        closed = FileContact(contact)
        assert not closed.is_active()
        closed.close()


def test_a_lost_input_is_looked_for_once_a_second(contact: Path) -> None:
    opened: list[StopInput] = []

    def open_it(settings: StopInput) -> FileContact:
        opened.append(settings)
        return FileContact(contact)

    button = StopButton(StopInput(file=str(contact)), 0, open_it)
    assert (button.openings, len(opened)) == (1, 1)
    released(button)
    contact.unlink()
    assert button.look(200 * MS) is not None
    assert button.look(210 * MS) is None  # once at the next look
    assert len(opened) == 2
    assert button.look(210 * MS + 999_999_999) is None
    assert len(opened) == 2
    assert button.look(210 * MS + 1_000_000_000) is None
    assert (button.openings, len(opened)) == (1, 3)
    contact.write_text("0")
    assert button.look(210 * MS + 1_999_999_999) is None
    assert "No such file" in button.problem()
    assert button.look(210 * MS + 2_000_000_000) is None
    assert (button.openings, len(opened)) == (2, 4)
    button.close()


class Edged(FileContact):
    """A contact that tells of its changes."""

    def fileno(self) -> int | None:
        return 7


def test_it_tells_how_it_stands(contact: Path) -> None:
    button = StopButton(StopInput(file=str(contact)), 0)
    pressed = f"stop input: {contact} is pressed, or its wire is cut"
    told = {
        "text": str(contact),
        "is_pressed": True,
        "problem": pressed,
        "seen": "at every look",
        "presses": 0,
    }
    assert button.told() == told
    released(button)
    assert button.told() == {**told, "is_pressed": False, "problem": ""}
    contact.write_text("1\n")
    assert button.look(200 * MS) is not None
    assert button.told() == {**told, "presses": 1}
    button.close()
    assert button.fileno() is None
    button.close()  # again is harmless
    edged = StopButton(StopInput(file=str(contact)), 0, lambda _: Edged(contact))
    assert (edged.fileno(), edged.told()["seen"]) == (7, "at once")
    edged.close()
    assert edged.fileno() is None


def test_a_contact_closes_its_file(contact: Path, open_files: Callable[[Path], list[Path]]) -> None:
    button = StopButton(StopInput(file=str(contact)), 0)
    assert open_files(contact.parent) == [contact]
    button.close()
    assert open_files(contact.parent) == []


def test_settings_are_plain_values_that_nothing_changes(contact: Path) -> None:
    settings = StopInput(file=str(contact))
    with pytest.raises(FrozenInstanceError):
        settings.kill = True  # type: ignore[misc]
    assert not hasattr(settings, "__dict__")
    assert settings == StopInput("", "", str(contact), "ground", "internal", 0.1, kill=False)


@pytest.mark.parametrize("release_s", [0.02, 0.1, 2.0])
def test_a_release_may_take_from_20_ms_to_2_s(contact: Path, release_s: float) -> None:
    button = StopButton(StopInput(file=str(contact), release_s=release_s), 0)
    assert button.look(round(release_s * 1e9) - 1) is None
    assert button.problem()
    assert button.look(round(release_s * 1e9)) is None
    assert button.problem() == ""
    button.close()


def test_an_input_that_is_not_there_yet_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="can't be opened: No such file"):
        StopButton(StopInput(file=str(tmp_path / "nothing")), 0)


def test_what_can_not_be_read_stops(tmp_path: Path, contact: Path) -> None:
    button = released(StopButton(StopInput(file=str(contact)), 0, lambda _: Broken(tmp_path)))
    trip = button.look(200 * MS)
    assert trip is not None
    assert trip.evidence == f"{tmp_path} can't be read: Is a directory"
    button.close()


def test_a_kill_is_a_kill(contact: Path) -> None:
    button = released(StopButton(StopInput(file=str(contact), kill=True), 0))
    contact.write_text("1")
    trip = button.look(RELEASE_NS + 1)
    assert trip is not None
    assert trip.is_kill


class Broken(FileContact):
    """A contact that is released at the first look, and that then can't be read any more."""

    looks = 0

    def is_active(self) -> bool:
        self.looks += 1
        return self.looks > 1 and super().is_active()


class Edges(FileContact):
    """A contact whose short opening is remembered between two looks, as the kernel's lines do."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.opened_ns: int | None = None

    def rose_ns(self) -> int | None:
        rose_ns, self.opened_ns = self.opened_ns, None
        return rose_ns


def test_a_press_that_is_over_before_the_look_stops_all_the_same(
    contact: Path,
) -> None:
    edges = Edges(contact)
    button = released(StopButton(StopInput(file=str(contact)), 0, lambda _: edges))
    edges.opened_ns = 200 * MS
    trip = button.look(204 * MS)
    assert trip is not None
    assert trip.evidence == f"{contact} was open, opened 4.0 ms before"
    assert button.look(206 * MS) is None
    assert button.problem()
    assert button.look(7_200_000 * MS) is None
    edges.opened_ns = 3_600_000 * MS  # told in milliseconds, however long ago
    trip = button.look(7_200_000 * MS)
    assert trip is not None and trip.evidence.endswith("was open, opened 3600000.0 ms before")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("GPIO5", "must be a mapping"),
        ({}, "name one `line`"),
        ({"line": "GPIO5", "file": "/x"}, "not both"),
        ({"line": "5"}, "a number needs its `chip`"),
        ({"file": "/x", "chip": "y"}, "`chip` needs a `line`"),
        ({"line": "GPIO5", "contact": "high"}, "must be ground or supply"),
        ({"line": "GPIO5", "resistor": "pull-up"}, "must be internal or external"),
        ({"line": "GPIO5", "release_s": 0.0199}, "must be in 0.02..2"),
        ({"line": "GPIO5", "release_s": 2.01}, "must be in 0.02..2"),
        ({"line": "GPIO5", "release_s": float("nan")}, "must be in 0.02..2"),
        ({"lin": "GPIO5"}, "safety.estop: there is no option 'lin'"),
        ({"line": 5, "chip": "x"}, "line=5 must be of type str"),
    ],
)
def test_what_can_not_be_meant_is_refused(found: object, words: str) -> None:
    with pytest.raises(ConfigError, match=r"safety\.estop") as error:
        read_stop_input(found)
    assert words in str(error.value)


def test_it_comes_back_from_json(tmp_path: Path) -> None:
    estop = StopInput(line="7", chip="gpiochip0", contact="supply", kill=True)
    assert read_stop_input(json.loads(json.dumps(written(estop)))) == estop
    assert read_stop_input(written(None)) is None
    settings = Settings(dir=tmp_path, watch={"drive": 0.3}, estop=estop)
    (tmp_path / "c.json").write_text(settings.to_json())
    assert load(tmp_path / "c.json") == settings


@pytest.mark.parametrize(
    ("contact", "resistor", "flags"),
    [
        ("ground", "internal", Flags.PULL_UP),
        ("ground", "external", Flags.NO_PULL),
        ("supply", "internal", Flags.PULL_DOWN | Flags.ACTIVE_LOW),
        ("supply", "external", Flags.NO_PULL | Flags.ACTIVE_LOW),
    ],
)
def test_an_open_contact_is_active_however_it_is_wired(
    contact: str, resistor: str, flags: Flags
) -> None:
    assert StopInput(line="GPIO5", contact=contact, resistor=resistor).flags == flags


def test_a_line_that_no_chip_has_is_told_with_the_chips(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="any GPIO chip has no line 'GPIO5'; there are no GPIO"):
        find("", "GPIO5", tmp_path)
    (tmp_path / "gpiochip0").write_text("")
    with pytest.raises(DeviceError, match="gpiochip0 is no GPIO chip"):
        find("", "GPIO5", tmp_path)
    with pytest.raises(DeviceError, match="can't be taken as an input"):
        GpioLine(Place(tmp_path / "gpiochip0", 5, "line 5"), Flags.PULL_UP)
    with pytest.raises(DeviceError, match="gpiochip9 can't be opened: No such file"):
        GpioLine(Place(tmp_path / "gpiochip9", 5, "line 5"), Flags.PULL_UP)


class Dry(FileContact):
    """A contact that is lost once there is no descriptor to spare, as that of a real line."""

    def rose_ns(self) -> int | None:
        find("", "GPIO5")
        return None


def test_a_guardian_without_a_descriptor_to_spare_goes_on_without_its_input(
    contact: Path, button: StopButton
) -> None:
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    dry = Dry(contact)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
    try:
        other = StopButton(StopInput(file=str(contact)), 0, lambda _: dry)
        assert other.look(RELEASE_NS) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))
    assert "Too many open files" in other.problem()


def test_a_contact_that_chatters_for_ever_does_not_keep_the_guardian() -> None:
    line = object.__new__(GpioLine)  # nothing here has a line: only what is read of it
    line.text = "line"
    line._descriptor = os.open("/dev/zero", os.O_RDONLY)
    assert line.rose_ns() is None  # no event of zeros is a rising edge
    line.close()
