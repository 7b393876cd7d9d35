"""A node class that opens a device and does not say so is seen from its source alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.node.devices import opening_of, openings

ROOT = Path(__file__).resolve().parents[3]
HEAD = "from olympus.runtime.node import Node\nimport asyncio, os, serial\n"
OPENS = {
    "class A(Node):\n    def f(self):\n        self.p = serial.Serial(self.port)": "serial.Serial",
    "from cv2 import VideoCapture as V\nclass A(Node):\n    def f(self):\n        V(0)": (
        "cv2.VideoCapture"
    ),
    "class A(Node):\n    async def f(self):\n        await asyncio.to_thread(os.open, 'x', 0)": (
        "os.open"
    ),
    "class A(Node):\n    port = '/dev/ttyUSB0'": "'/dev/ttyUSB0'",
    "class A(Node):\n    def f(self):\n        open('/sys/class/pwm/pwmchip0/export', 'w')": (
        "'/sys/class/pwm/pwmchip0/export'"
    ),
    "class A(Node):\n    def f(self):\n        open(f'/dev/video{self.n}')": "'/dev/video'",
    "from olympus.drivers import registry\nclass A(Node):\n    def f(self):\n"
    "        registry.open_camera(0)": "olympus.drivers.registry.open_camera",
    "class A(Node):\n    def f(self):\n        self.loop.add_reader(3, self.g)": (
        "self.loop.add_reader"
    ),
    "class Port:\n    def __init__(self):\n        self.p = serial.Serial()\n"
    "class A(Node):\n    def f(self):\n        Port()": "serial.Serial",
    "_BUS = serial.Serial('x')\nclass A(Node):\n    def f(self):\n        _BUS.read()": (
        "serial.Serial"
    ),
    "def _open():\n    def inner():\n        return serial.Serial()\n    return inner()\n"
    "class Base(Node):\n    def f(self):\n        _open()\n"
    "class A(Base):\n    pass": "serial.Serial",
}
OPENS_NOTHING = (
    "class A(Node):\n    is_replayed = False\n    def f(self):\n        serial.Serial()",
    "class A(Node):\n    is_replayed: bool = True\n    def f(self):\n        serial.Serial()",
    "class B(Node):\n    is_replayed = False\nclass A(B):\n    p = serial.Serial()",
    "class A:\n    def f(self):\n        serial.Serial()",
    "class A(Node):\n    port: serial.Serial\n    def f(self, p: serial.Serial) -> serial.Serial:\n"
    "        try:\n            p.read()\n        except serial.SerialException:\n            pass",
    "class A(Node):\n    async def f(self):\n"
    "        await self.act('beep', lambda: serial.Serial().write(b'!'))",
    "class A(Node):\n    async def f(self):\n        await self.act('beep', self.g)\n"
    "    def g(self):\n        serial.Serial()",
    "class A(Node):\n    def f(self):\n        open('/dev/null')\n        open('/dev/urandom')",
    "class A(Node):\n    def f(self):\n        open('/sys/devices/system/cpu/online')",
    "class Other:\n    def f(self):\n        serial.Serial()\nclass A(Node):\n    pass",
    "class A(Node):\n    def f(self, requests, serial):\n        requests.get(serial.number)",
)


def write(folder: Path, source: str, name: str = "robot.py") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(source)
    return file


@pytest.mark.parametrize("source", OPENS)
def test_what_opens_a_device_is_named_with_its_line(tmp_path: Path, source: str) -> None:
    found = [one for one in openings(write(tmp_path, HEAD + source)) if one.node == "A"]
    assert [one.what for one in found] == [OPENS[source]]
    lines = (HEAD + source).split("\n")
    assert lines[found[0].line - 1].startswith("class A(")
    assert OPENS[source].rpartition(".")[2].strip("'") in lines[found[0].at - 1].replace(
        "V(0)", "VideoCapture"
    )


@pytest.mark.parametrize("source", OPENS_NOTHING)
def test_what_says_it_or_is_recorded_or_opens_nothing_is_left_alone(
    tmp_path: Path, source: str
) -> None:
    assert openings(write(tmp_path, HEAD + source)) == []


@pytest.mark.parametrize(
    ("line", "use"),
    [
        ("from port import Port", "Port()"),
        ("import port", "port.Port()"),
        ("from .port import Port", "Port()"),
        ("from robot.port import Port", "Port()"),
        ("from robot import Port", "Port()"),
    ],
)
def test_modules_beside_are_followed(tmp_path: Path, line: str, use: str) -> None:
    write(tmp_path / "robot", "from .port import Port\n", "__init__.py")
    write(tmp_path / "robot", "import serial\nclass Port:\n    p = serial.Serial()", "port.py")
    source = f"{HEAD}{line}\nclass A(Node):\n    def f(self):\n        {use}"
    (found,) = openings(write(tmp_path / "robot", source, "a.py"))
    assert str(found) == "opens a device by serial.Serial (port.py:3)"


def test_a_circle_of_uses_has_an_end(tmp_path: Path) -> None:
    source = "def f():\n    g()\ndef g():\n    f()\nclass A(Node):\n    def f(self):\n        f()"
    assert openings(write(tmp_path, HEAD + source)) == []


def test_what_is_no_python_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"robot\.py can't be read as Python"):
        openings(write(tmp_path, "class"))


def test_every_node_of_the_house_that_opens_a_device_says_so() -> None:
    files = [file for wing in ("nodes", "sim") for file in (ROOT / wing).rglob("*.py")]
    assert [found for file in files for found in openings(file)] == []
    assert opening_of(ROOT / "nodes" / "camera.py", "Camera") is not None
