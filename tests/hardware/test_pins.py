"""A board map agrees with its own header, and its choices fail safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from olympus.hardware import pins
from olympus.runtime.errors import ConfigError

NAMES = ["Jetson Orin Nano developer kit", "Raspberry Pi 4", "Raspberry Pi 5"]


def test_the_shipped_maps_are_read() -> None:
    assert [board.name for board in pins.shipped()] == NAMES


@pytest.mark.parametrize("board", pins.shipped(), ids=lambda board: board.name)
def test_a_header_has_forty_pins_and_no_line_twice(board: pins.BoardMap) -> None:
    assert sorted(board.header) == list(range(1, 41))
    lines = [name for name in board.header.values() if name not in {"3V3", "5V", "GND"}]
    assert len(lines) == len(set(lines)) == 28


@pytest.mark.parametrize("board", pins.shipped(), ids=lambda board: board.name)
def test_the_stop_button_has_ground_beside_it(board: pins.BoardMap) -> None:
    assert board.header[board.stop_input.pin + 1] == "GND"


@pytest.mark.parametrize("board", pins.shipped(), ids=lambda board: board.name)
def test_roles_don_t_share_pins(board: pins.BoardMap) -> None:
    used = [board.stop_input.pin, board.relay_output.pin, *board.i2c.pins, *board.uart.pins]
    assert len(used) == len(set(used))


@pytest.mark.parametrize(
    ("compatible", "name"),
    [
        (("raspberrypi,4-model-b", "brcm,bcm2711"), "Raspberry Pi 4"),
        (("raspberrypi,5-model-b", "brcm,bcm2712"), "Raspberry Pi 5"),
        (("nvidia,p3768-0000+p3767-0005-super", "nvidia,tegra234"), NAMES[0]),
    ],
)
def test_a_board_is_matched_by_its_device_tree(compatible: tuple[str, ...], name: str) -> None:
    found = pins.map_for(compatible)
    assert found is not None
    assert found.name == name


def test_a_pc_has_no_map() -> None:
    assert pins.map_for(()) is None


def test_a_role_on_the_wrong_pin_is_refused(tmp_path: Path) -> None:
    text = (pins.FOLDER / "pi5.yaml").read_text().replace("pin: 29", "pin: 30")
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ConfigError, match="pin 30 is 'GND', not 'GPIO5'"):
        pins.load(tmp_path / "wrong.yaml")


def test_a_missing_map_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*compare hardware/boards/pi5"):
        pins.load(tmp_path / "nowhere.yaml")
