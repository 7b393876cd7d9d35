"""Finds node classes that open a device and don't say whether a replay runs them.

A replay must never open a device: what came from it is in the recording. So a class that opens one
says `is_replayed = False`; one that opens it within `self.act` or looks at it within `self.observe`
only, which a replay answers from the recording, may say `is_replayed = True`. For a class that says
neither, this reads its source, that of the functions and classes it uses, and of the modules that
lie beside. It imports nothing, guesses no types and looks into no library, so it sees what is
written plainly.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from olympus.runtime.errors import ConfigError
from olympus.runtime.node.lint import imports_of

MARK = "is_replayed"
NODE = ("olympus.runtime.node.Node", "olympus.runtime.node.node.Node")
OURS = "olympus."
"""What Olympus itself has is not searched; which parts of it open devices is listed here."""
DEVICES = (
    *(f"olympus.drivers.registry.{verb}" for verb in ("make_*", "open_*")),
    *(f"olympus.drivers.{room}.*" for room in ("camera", "microphone", "serial_base")),
    *("olympus.drivers.mqtt.MqttLink", "olympus.drivers.serial_port.SerialPort"),
    "olympus.drivers.device_loop.DeviceLoop",
    *("serial.Serial", "serial.serial_for_url", "serial_asyncio.*", "termios.*", "fcntl.ioctl"),
    *("cv2.VideoCapture", "picamera2.*", "picamera.*", "pyrealsense2.*", "depthai.*"),
    *("smbus.SMBus", "smbus2.SMBus", "spidev.SpiDev", "periphery.*", "busio.*"),
    *("gpiozero.*", "gpiod.*", "lgpio.*", "pigpio.pi", "RPi.GPIO.*", "Jetson.GPIO.*"),
    *("can.Bus", "can.interface.Bus", "can.ThreadSafeBus", "usb.core.*", "usb1.*", "hid.*"),
    *("sounddevice.*", "pyaudio.*", "evdev.*", "bleak.*", "rplidar.*", "adafruit_*"),
    *("paho.mqtt.client.Client", "aiomqtt.*", "pymodbus.client.*", "websockets.*"),
    *("socket.socket", "socket.create_connection", "socket.create_server", "os.open"),
    *("asyncio.open_connection", "asyncio.open_unix_connection", "asyncio.start_server"),
    *("urllib.request.urlopen", "http.client.HTTPConnection", "requests.*", "httpx.*", "aiohttp.*"),
)
"""Names of what opens a device or a way to one; `*` at the end stands for any rest."""
METHODS = ("add_reader", "create_datagram_endpoint", "create_connection")
"""Methods of an event loop that wait for what is outside."""
PLACES = ("/dev/", "/sys/")
"""Where the kernel shows devices: files of their own, and pins, PWM and sensors as files."""
HARMLESS = (
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/shm", "/dev/std"),
    *("/sys/devices/system/", "/sys/devices/virtual/dmi/", "/sys/firmware/", "/sys/fs/"),
    *("/sys/kernel/", "/sys/module/"),
)
"""What is no device there: what all have, and what tells of the machine."""
RECORDED = ("act", "observe")
"""Methods of a node whose arguments a replay does not call."""
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.expr


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a node class opens a device, or begins to."""

    node: str
    """Name of the class."""
    line: int
    """Where the class begins, from 1."""
    what: str
    """What opens the device, such as `serial.Serial`."""
    file: Path
    at: int
    """Line of that file."""

    def __str__(self) -> str:
        return f"opens a device by {self.what} ({self.file.name}:{self.at})"


def openings(file: Path) -> list[Opening]:
    """Return the node classes of a file that open a device and do not say `is_replayed`.

    Raises:
        ConfigError: It is not valid Python.
    """
    module = _Module(file)
    found = (opening_of(file, name) for name in module.unmarked())
    return [one for one in found if one is not None]


def opening_of(file: Path, class_name: str) -> Opening | None:
    """Return by what a class of a file opens a device; None if it does not.

    Raises:
        ConfigError: The file is not valid Python.
    """
    module = _Module(file)
    made = module.definitions.get(class_name)
    if not isinstance(made, ast.ClassDef):
        return None
    for what, where, at in _Search().of(module, class_name):
        return Opening(class_name, made.lineno, what, where, at)
    return None


def is_marked_off(file: Path, class_name: str) -> bool:
    """Return whether a class says `is_replayed = False` in its own source.

    Args:
        file: Of Python source.
        class_name: Empty for the only public node class there.

    Raises:
        ConfigError: The file is not valid Python.
    """
    definitions = _Module(file).definitions
    names = [class_name] if class_name else [name for name in definitions if name[0] != "_"]
    classes = [one for name in names if isinstance(one := definitions.get(name), ast.ClassDef)]
    marks = [_defined(part).get(MARK) for made in classes for part in made.body]
    return any(isinstance(mark, ast.Constant) and mark.value is False for mark in marks)


class _Module:
    """A file of Python source."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            tree = ast.parse(file.read_text())
        except (OSError, SyntaxError, ValueError) as error:
            raise ConfigError(f"{file} can't be read as Python: {error}") from error
        self.imports = imports_of(tree)
        self.definitions: dict[str, _Definition] = {}
        for node in tree.body:
            self.definitions.update(_defined(node))

    def unmarked(self) -> list[str]:
        """Return the node classes that do not say whether a replay runs them."""
        marks = {name: self._mark(name) for name in self.definitions}
        return [name for name, mark in marks.items() if mark is False]

    def _mark(self, name: str, within: frozenset[str] = frozenset()) -> bool | None:
        """Return whether a node class says `is_replayed`; None if it is none, as far as is seen."""
        made = self.definitions.get(name)
        if not isinstance(made, ast.ClassDef) or name in within:
            return None
        bases = [ast.unparse(base) for base in made.bases]
        marks = [self._mark(base, within | {name}) for base in bases]
        if not any(self.full(base) in NODE for base in bases) and set(marks) <= {None}:
            return None
        return any(MARK in _defined(part) for part in made.body) or True in marks

    def full(self, name: str) -> str:
        """Return the full name of what a dotted name means here."""
        first, dot, rest = name.partition(".")
        return f"{self.imports.get(first, first)}{dot}{rest}"

    def beside(self, full: str) -> tuple[_Module, str] | None:
        """Return the module of a full name that lies beside this one, and the name within."""
        if full.startswith(OURS):
            return None
        level = len(full) - len(full.lstrip("."))
        parts = full.lstrip(".").split(".")
        folders = self.file.parents[level - 1 : level] if level else self.file.parents[:3]
        for depth in range(len(parts) - 1, 0, -1):
            for folder in folders:
                place = folder.joinpath(*parts[:depth])
                for file in (place.with_suffix(".py"), place / "__init__.py"):
                    if file.is_file():
                        return _Module(file), parts[depth]
        return None


def _defined(node: ast.stmt) -> dict[str, _Definition]:
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return {node.name: node}
        case ast.Assign(targets=targets, value=value):
            return {one.id: value for one in targets if isinstance(one, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return {name: value}
    return {}


class _Search:
    """Follows what a class uses, each definition once."""

    def __init__(self) -> None:
        self._seen: set[tuple[Path, str]] = set()

    def of(self, module: _Module, name: str) -> Iterator[tuple[str, Path, int]]:
        """Yield what opens a device, with file and line."""
        if (module.file, name) in self._seen:
            return
        self._seen.add((module.file, name))
        made = module.definitions.get(name)
        if made is not None:
            for used, line in _used(made, _recorded(made)):
                yield from self._follow(module, used, line)
        elif name in module.imports and (found := module.beside(module.imports[name])):
            yield from self.of(*found)

    def _follow(self, module: _Module, used: str, line: int) -> Iterator[tuple[str, Path, int]]:
        first, full = used.split(".")[0], module.full(used)
        if used.startswith(PLACES):
            yield repr(used), module.file, line
        elif "." in used and used.rpartition(".")[2] in METHODS:
            yield used, module.file, line
        elif first in module.definitions:
            yield from self.of(module, first)
        elif first in module.imports:
            if _is_device(full):
                yield full, module.file, line
            elif found := module.beside(full):
                yield from self.of(*found)


def _is_device(full: str) -> bool:
    return any(full.startswith(one[:-1]) if one.endswith("*") else full == one for one in DEVICES)


def _recorded(made: _Definition) -> set[str]:
    """Return the methods that are only handed to `self.act` or `self.observe`."""
    calls = [one for one in ast.walk(made) if isinstance(one, ast.Call) and _is_recorded(one)]
    values = [value for call in calls for value in _arguments(call)]
    return {one.attr for one in values if isinstance(one, ast.Attribute)}


def _is_recorded(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in RECORDED


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(one.value for one in call.keywords)]


def _used(node: ast.AST, recorded: set[str]) -> Iterator[tuple[str, int]]:
    """Yield the dotted names and device paths in a source, but no annotation, with their lines."""
    match node:
        case ast.Constant(value=str() as text) if text.startswith(PLACES):
            if not text.startswith(HARMLESS):
                yield text, node.lineno
        case ast.Attribute() | ast.Name():
            yield ast.unparse(node), node.lineno
            if isinstance(node, ast.Attribute):
                yield from _used(node.value, recorded)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in recorded:
            return
        case _:
            for part in _run(node):
                yield from _used(part, recorded)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that are run, and not recorded."""
    match node:
        case ast.Call() if _is_recorded(node):
            yield node.func
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from (*node.decorator_list, node.args, *node.body)
        case ast.AnnAssign():
            yield from [node.value] if node.value else []
        case ast.arg():
            return
        case ast.ExceptHandler():
            yield from node.body
        case _:
            yield from ast.iter_child_nodes(node)
