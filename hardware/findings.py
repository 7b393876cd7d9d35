"""Judges a board: what Olympus needs, what it can use, and the way out where it lacks."""

from __future__ import annotations

import ctypes.util
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from olympus.hardware.board import Board
from olympus.hardware.pins import map_for
from olympus.runtime.quick import why_not

State = Literal["ok", "absent", "limited", "missing"]

MEMORY_NEEDED_MB = 512
DISK_NEEDED_MB = 200
CORE = ("zenoh", "numpy", "msgpack", "pydantic", "yaml", "lmdb", "psutil", "typer", "rich")
EXTRAS = {
    "vision": ("cv2", "onnxruntime"),
    "audio": ("sounddevice",),
    "iot": ("aiomqtt", "amqtt"),
    "motors": ("serial",),
    "viewer": ("starlette", "uvicorn", "websockets"),
    "sim": ("mujoco",),
}
DEVICE_HELP = {
    "camera": ("video", "plug in a USB camera, or switch on the CSI camera in the boot settings"),
    "microphone": ("audio", "plug in a USB microphone"),
    "gpio": ("gpio", "none on a PC; a USB GPIO adapter would bring one"),
    "i2c": ("i2c", "load i2c-dev, and switch I2C on in the boot settings"),
    "can": ("netdev", "bring it up: `ip link set can0 up type can bitrate 500000`"),
    "serial": ("dialout", "plug in a USB serial adapter, or switch on the board's UART"),
    "watchdog": ("watchdog", "load the board's watchdog driver"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table."""

    name: str
    state: State
    """ok; absent: optional and not there; limited: there, not usable; missing: needed."""
    text: str
    way_out: str = ""


def examine(board: Board) -> tuple[Finding, ...]:
    """Return all findings about a board, needed things first.

    Args:
        board: What `board.look` saw.
    """
    groups = (_needed(board), _packages(), _realtime(board), _devices(board), _known(board))
    return tuple(finding for group in groups for finding in group)


def is_fit(findings: tuple[Finding, ...]) -> bool:
    """Tell whether everything needed is there."""
    return all(finding.state != "missing" for finding in findings)


def _needed(board: Board) -> Iterator[Finding]:
    version = "{}.{}.{}".format(*sys.version_info[:3])
    yield _need("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    cpu = board.processor
    features = ", ".join(cpu.features) or "none of the fast int8 ones"
    yield Finding("processor", "ok", f"{cpu.model}, {cpu.cores} cores; {features}")
    free = f"{board.memory_free_mb} of {board.memory_mb} MB free"
    enough = board.memory_free_mb >= MEMORY_NEEDED_MB
    yield _need("memory", enough, free, f"the patrol wants {MEMORY_NEEDED_MB} MB; stop something")
    room = board.disk_free_mb >= DISK_NEEDED_MB
    yield _need("disk", room, f"{board.disk_free_mb} MB free", f"free {DISK_NEEDED_MB} MB")
    lacking = [name for name in CORE if not _has(name)]
    text = "missing: " + ", ".join(lacking) if lacking else "all there"
    yield _need("core packages", not lacking, text, "pip install olympus-edge, or ./run setup")
    way = "sudo apt install gcc python3-dev, then ./run setup --force"
    text = f"in Python, slower: {why_not}" if why_not else "in C"
    yield Finding("bus", "limited" if why_not else "ok", text, _if(bool(why_not), way))


def _packages() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        lacking = [name for name in modules if not _has(name)]
        text = "missing: " + ", ".join(lacking) if lacking else "there"
        way = f"pip install 'olympus-edge[{extra}]'" if lacking else ""
        yield Finding(f"extra {extra}", "absent" if lacking else "ok", text, way)
    if ctypes.util.find_library("portaudio"):
        yield Finding("libportaudio2", "ok", "there")
    else:
        way = "sudo apt install libportaudio2 (only for a real microphone)"
        yield Finding("libportaudio2", "absent", "not installed", way)


def _realtime(board: Board) -> Iterator[Finding]:
    limits = board.limits
    text = f"{board.kernel}, preemption {board.preemption}"
    yield Finding("kernel", "ok", text)
    fifo = limits.realtime_priority
    way = "use hardware/systemd/olympus@.service, or set rtprio in /etc/security/limits.d"
    yield Finding(
        "realtime", "ok" if fifo else "limited", f"priority up to {fifo}", _if(not fifo, way)
    )
    locked = limits.locked_memory_kb
    little = locked is not None and locked < 65_536
    text = "no limit" if locked is None else f"{locked} kB"
    way = "LimitMEMLOCK in the service, or memlock in /etc/security/limits.d"
    yield Finding("locked memory", "limited" if little else "ok", text, _if(little, way))
    if board.idle_us:
        deepest = max(board.idle_us, key=lambda name: board.idle_us[name])
        text = f"{board.idle_us[deepest]} us to wake from {deepest}, says its driver"
        way = "for wake_us in launch files: hardware/udev/99-olympus.rules, and the group realtime"
        may = board.may_limit_idle
        yield Finding("sleep", "ok" if may else "limited", text, _if(not may, way))
    for zone, celsius in board.temperatures_c.items():
        hot = celsius >= 80.0
        text = f"{celsius:.0f} °C"
        yield Finding(f"heat {zone}", "limited" if hot else "ok", text, _if(hot, "cool the board"))


def _devices(board: Board) -> Iterator[Finding]:
    for kind, (group, way) in DEVICE_HELP.items():
        found = board.of_kind(kind)
        if not found:
            yield Finding(kind, "absent", "none", way)
        for device in found:
            text = f"{device.path}: {device.name}"
            refused = way if kind == "can" else f"sudo usermod -aG {group} $USER, then log in again"
            yield Finding(
                kind, "ok" if device.usable else "limited", text, _if(not device.usable, refused)
            )


def _known(board: Board) -> Iterator[Finding]:
    pins = map_for(board.compatible)
    if pins is None:
        yield Finding("pin map", "absent", f"none for {board.model}", "see hardware/boards")
        return
    stop, relay = pins.stop_input, pins.relay_output
    text = f"{pins.name}: stop input pin {stop.pin}, relay output pin {relay.pin}, I2C "
    yield Finding("pin map", "ok", text + pins.i2c.device)


def _need(name: str, fulfilled: bool, text: str, way_out: str) -> Finding:
    return Finding(name, "ok" if fulfilled else "missing", text, _if(not fulfilled, way_out))


def _if(condition: bool, text: str) -> str:
    return text if condition else ""


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
