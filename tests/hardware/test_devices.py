"""What is plugged in is found under the name a driver opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.hardware import v4l2
from olympus.hardware.board import look
from olympus.hardware.devices import Device

MakeBoard = Callable[..., Path]


def of_kind(root: Path, kind: str) -> tuple[Device, ...]:
    return look(root).of_kind(kind)


def test_cameras_come_in_the_kernels_order(make_board: MakeBoard) -> None:
    found = of_kind(make_board(), "camera")
    assert [device.path for device in found] == ["/dev/video0", "/dev/video2", "/dev/video10"]
    assert found[0].name == "HD Webcam"


def test_only_a_sound_card_that_records_is_a_microphone(make_board: MakeBoard) -> None:
    found = of_kind(make_board(), "microphone")
    assert [(device.path, device.name) for device in found] == [
        ("hw:2", "USB-Audio - USB Microphone")
    ]
    assert found[0].usable


def test_a_can_interface_that_is_down_is_not_usable(make_board: MakeBoard) -> None:
    found = of_kind(make_board(), "can")
    assert [(device.path, device.usable) for device in found] == [("can0", False)]


def test_ethernet_is_not_can(make_board: MakeBoard) -> None:
    assert "eth0" not in {device.path for device in of_kind(make_board(), "can")}


def test_a_usb_serial_port_has_its_stable_name_first(make_board: MakeBoard) -> None:
    root = make_board(**{"dev/ttyUSB0": ""})
    link = root / "dev/serial/by-id/usb-FTDI_1234-if00"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../ttyUSB0")
    first, second = of_kind(root, "serial")
    assert (first.path, first.name) == ("/dev/serial/by-id/usb-FTDI_1234-if00", "ttyUSB0")
    assert second.path == "/dev/ttyAMA0"


def test_a_watchdog_tells_its_longest_time(make_board: MakeBoard) -> None:
    (watchdog,) = of_kind(make_board(), "watchdog")
    assert watchdog.name == "Broadcom BCM2835 Watchdog timer, up to 15 s"


def test_a_bus_has_the_name_of_its_adapter(make_board: MakeBoard) -> None:
    (bus,) = of_kind(make_board(), "i2c")
    assert (bus.path, bus.name) == ("/dev/i2c-1", "Synopsys DesignWare I2C adapter")


def test_a_chip_that_can_t_be_asked_is_still_listed(make_board: MakeBoard) -> None:
    (chip,) = of_kind(make_board(), "gpio")
    assert (chip.path, chip.name) == ("/dev/gpiochip0", "unknown chip")


@pytest.mark.parametrize(
    ("capabilities", "device_caps", "captures"),
    [
        (0x0000_0001, 0, True),
        (0x0000_1000, 0, True),
        (0x0000_0002, 0, False),
        (0x8000_0001, 0x0000_0001, True),
        (0x8000_0001, 0x0080_0000, False),
    ],
)
def test_a_node_without_pictures_of_its_own_is_no_camera(
    capabilities: int, device_caps: int, captures: bool
) -> None:
    answer = v4l2.CAPABILITY.pack(
        b"uvcvideo", b"Webcam", b"usb-1", 0x60600, capabilities, device_caps, 0, 0, 0
    )
    assert v4l2.parse(answer) == v4l2.Capability("uvcvideo", "Webcam", "usb-1", captures)


def test_a_plain_file_is_no_video_device(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    with pytest.raises(OSError):
        v4l2.query(tmp_path / "video0")
