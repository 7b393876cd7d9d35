"""Finds what is plugged in: cameras, sound cards, GPIO, I2C, CAN, serial ports, watchdogs."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from olympus.hardware import v4l2
from olympus.hardware.tree import Tree

# Source: Linux uapi header gpio.h, struct gpiochip_info and GPIO_GET_CHIPINFO_IOCTL.
CHIP_INFO = struct.Struct("=32s32sI")
GET_CHIP_INFO = 0x8044B401
ARPHRD_CAN = 280  # Source: Linux uapi header if_arp.h


@dataclass(frozen=True, slots=True)
class Device:
    """One thing a driver can open."""

    kind: str
    """camera, microphone, gpio, i2c, can, serial or watchdog."""
    path: str
    """What a program opens or binds: `/dev/video0`, `can0`, `hw:1`."""
    name: str
    """What its maker or driver calls it."""
    usable: bool
    """Whether this user may open it for reading and writing."""


def find(tree: Tree) -> tuple[Device, ...]:
    """Return all devices below `tree`, by kind, each kind in the kernel's order."""
    finders = (cameras, microphones, gpio_chips, i2c_buses, can_interfaces, serial_ports, watchdogs)
    return tuple(device for finder in finders for device in finder(tree))


def cameras(tree: Tree) -> Iterator[Device]:
    """Yield V4L2 devices that give pictures; one that can't be asked counts as a camera."""
    for path in tree.find("dev/video[0-9]*"):
        name = tree.text(f"sys/class/video4linux/{path.name}/name") or "unnamed camera"
        try:
            captures = v4l2.query(path).captures
        except OSError:
            captures = True
        if captures:
            yield _device("camera", path, name, tree)


def microphones(tree: Tree) -> Iterator[Device]:
    """Yield sound cards that can record, under their ALSA names."""
    cards = re.findall(r"^\s*(\d+) \[\S+\s*\]: (.+)$", tree.text("proc/asound/cards"), re.M)
    for number, name in cards:
        if any(tree.find(f"proc/asound/card{number}/pcm*c")):
            usable = any(_is_open(path) for path in tree.find(f"dev/snd/pcmC{number}D*c"))
            yield Device("microphone", f"hw:{number}", name, usable)


def gpio_chips(tree: Tree) -> Iterator[Device]:
    """Yield GPIO chips with their label; a label is stable where a chip's number is not."""
    for path in tree.find("dev/gpiochip[0-9]*"):
        try:
            name = _chip_label(path)
        except OSError:
            name = "unknown chip"
        yield _device("gpio", path, name, tree)


def i2c_buses(tree: Tree) -> Iterator[Device]:
    """Yield I2C buses that i2c-dev offers."""
    for path in tree.find("dev/i2c-[0-9]*"):
        yield _device("i2c", path, tree.text(f"sys/class/i2c-dev/{path.name}/name"), tree)


def can_interfaces(tree: Tree) -> Iterator[Device]:
    """Yield CAN interfaces, virtual ones included."""
    for path in tree.find("sys/class/net/*"):
        if tree.number(f"sys/class/net/{path.name}/type") == ARPHRD_CAN:
            state = tree.text(f"sys/class/net/{path.name}/operstate") or "unknown"
            yield Device("can", path.name, f"link {state}", usable=state != "down")


def serial_ports(tree: Tree) -> Iterator[Device]:
    """Yield USB serial ports by their stable names, then the board's own UARTs."""
    for path in tree.find("dev/serial/by-id/*"):
        yield _device("serial", path, path.resolve().name, tree)
    for pattern in ("dev/ttyAMA[0-9]*", "dev/ttyTHS[0-9]*"):
        for path in tree.find(pattern):
            yield _device("serial", path, "UART of the board", tree)


def watchdogs(tree: Tree) -> Iterator[Device]:
    """Yield hardware watchdogs; none is opened, since opening one arms it."""
    for path in tree.find("dev/watchdog[0-9]*"):
        folder = f"sys/class/watchdog/{path.name}"
        name = tree.text(f"{folder}/identity") or "watchdog"
        limit = tree.number(f"{folder}/max_timeout")
        yield _device("watchdog", path, name + (f", up to {limit} s" if limit else ""), tree)


def _device(kind: str, path: Path, name: str, tree: Tree) -> Device:
    return Device(kind, tree.device(path), name or "unnamed", _is_open(path))


def _is_open(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _chip_label(path: Path) -> str:
    buffer = bytearray(CHIP_INFO.size)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, GET_CHIP_INFO, buffer)
    finally:
        os.close(descriptor)
    _name, label, lines = CHIP_INFO.unpack(bytes(buffer))
    text = label.split(b"\0")[0].decode(errors="replace")
    return f"{text}, {lines} lines"
