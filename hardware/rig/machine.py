"""A virtual machine for faults of the whole computer: QEMU without acceleration, seen from outside.

Time is stamped by this process, CLOCK_MONOTONIC in ns. Stopping QEMU would stop its watchdog too,
so a fault must be made inside the guest.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from olympus.runtime.errors import DeviceError

QEMU: Final = "qemu-system-x86_64"
MEMORY_MB: Final = 320
START_S: Final = 120.0
ANSWER_S: Final = 30.0
SNAPSHOT: Final = "scene"
_IF: Final = 0x200
"""Bit of the flags register that lets interrupts in."""
_RIP: Final = slice(256, 272)
_FLAGS: Final = slice(272, 280)
"""Hex digits of both among the registers, as the debugger's protocol has them for x86-64."""

_PACKET: Final = re.compile(rb"\$([^#]*)#[0-9a-f]{2}")
Look = Callable[[], bool]


class Line:
    """Lines over a unix socket, each stamped as it comes."""

    def __init__(self, path: Path, take: Callable[[int, bytes], None], *, split: bool) -> None:
        """Connect, and hear from now on.

        Args:
            path: The socket, which may not be there yet.
            take: Is given time and line, or time and any bytes.
            split: Whether to wait for whole lines.
        """
        self._socket = _connected(path)
        self._take, self._split = take, split
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> None:
        """Send."""
        self._socket.sendall(data)

    def close(self) -> None:
        """Hang up."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _hear(self) -> None:
        rest = b""
        try:
            while data := self._socket.recv(65536):
                now_ns = time.monotonic_ns()
                if not self._split:
                    self._take(now_ns, data)
                    continue
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._take(now_ns, line)
        except OSError:  # hung up
            return


class Machine:
    """A running guest with an agent in it."""

    def __init__(self, vmlinux: Path, initrd: Path, folder: Path, uart: str | None = None) -> None:
        """Boot it, and wait until its agent answers.

        Args:
            vmlinux: The kernel.
            initrd: Its file system.
            folder: An empty folder with a short name, for sockets and the snapshot.
            uart: Terminal device at the other end of the guest's second serial port.

        Raises:
            DeviceError: It did not come up.
        """
        self._folder = folder
        self.motor: list[tuple[int, int]] = []
        """What the guest wrote to port 0xE9: when, and which byte."""
        self.events: list[tuple[int, str]] = []
        """What QEMU told: when, and the event's name."""
        self._replies: dict[str, Mapping[str, Any]] = {}
        self._jobs: dict[str, str] = {}
        self._answers: list[Mapping[str, Any]] = []
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(folder / "snap.qcow2"), "1G"],
            check=True,
        )
        command = _command(vmlinux, initrd, folder, uart)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            self._qmp = Line(folder / "qmp", self._told, split=True)
            self._ask("qmp_capabilities")
            self._motor = Line(folder / "motor", self._turned, split=False)
            self._agent = Line(folder / "agent", self._answered, split=True)
            self._meet(START_S)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def run(self, statements: str) -> None:
        """Let the guest run Python statements.

        Raises:
            DeviceError: They failed there, or it does not answer.
        """
        self._call("py", statements, ANSWER_S)

    def evaluate(self, expression: str) -> Any:
        """Let the guest evaluate a Python expression; return its value, as through JSON.

        Raises:
            DeviceError: It failed there, or it does not answer.
        """
        return self._call("ev", expression, ANSWER_S)

    def begin(self, statements: str) -> int:
        """Let the guest run what may never return; return when it was told, in ns."""
        now_ns = time.monotonic_ns()
        self._agent.send(json.dumps({"py": statements}).encode() + b"\n")
        return now_ns

    def lock_up(self) -> int:
        """Let the processor turn in an endless loop with interrupts off; return when, in ns.

        It is put in through QEMU's port for a debugger, so that no kernel module has to be built.

        Raises:
            DeviceError: QEMU refuses.
        """
        with _connected(self._folder / "gdb") as port:
            registers = _gdb(port, "g")
            rip, flags = (_number(registers[at]) for at in (_RIP, _FLAGS))
            masked = (flags & ~_IF).to_bytes(4, "little").hex()
            done = [
                _gdb(port, f"M{rip:x},2:ebfe"),  # jmp to itself
                _gdb(port, f"G{registers[: _FLAGS.start]}{masked}{registers[_FLAGS.stop :]}"),
            ]
            if done != ["OK", "OK"]:
                raise DeviceError(f"QEMU's debugger port refuses: {done}")
            now_ns = time.monotonic_ns()
            _gdb(port, "D")
        return now_ns

    def save(self) -> None:
        """Keep the guest as it is now."""
        self._ask("stop")
        self._job("snapshot-save")
        self._ask("cont")

    def restore(self) -> None:
        """Bring the guest back to what was kept, whatever has become of it."""
        self._ask("stop")
        self._job("snapshot-load")
        self.motor.clear()
        self.events.clear()
        self._ask("cont")
        self._meet(ANSWER_S)

    def event_after(self, name: str, since_ns: int) -> int | None:
        """Return when QEMU first told `name` after `since_ns`; None if it has not."""
        found = (at_ns for at_ns, event in list(self.events) if event == name and at_ns > since_ns)
        return next(found, None)

    def last_drive(self) -> int:
        """Return when the motor was last driven; 0 for never."""
        return next((at_ns for at_ns, byte in reversed(list(self.motor)) if byte == ord("M")), 0)

    def console(self) -> str:
        """Return what the kernel wrote to its console."""
        return (self._folder / "console.log").read_text(errors="replace")

    def close(self) -> None:
        """Switch it off."""
        self.process.kill()
        self.process.wait()
        for line in (self._qmp, self._motor, self._agent):
            line.close()

    def _meet(self, within_s: float) -> None:
        mark = secrets.token_hex(4)
        self._agent.send(json.dumps({"ev": repr(mark)}).encode() + b"\n")
        _until(lambda: any(one.get("val") == mark for one in list(self._answers)), within_s, self)
        self._answers.clear()

    def _call(self, kind: str, text: str, within_s: float) -> Any:
        self._answers.clear()
        self._agent.send(json.dumps({kind: text}).encode() + b"\n")
        _until(lambda: bool(self._answers), within_s, self)
        answer = self._answers[0]
        if "err" in answer:
            raise DeviceError(f"in the guest: {answer['err']}")
        return answer["val"]

    def _ask(self, command: str, arguments: Mapping[str, Any] | None = None) -> None:
        mark = secrets.token_hex(4)
        request = {"execute": command, "id": mark, "arguments": arguments or {}}
        self._qmp.send(json.dumps(request).encode() + b"\n")
        _until(lambda: mark in self._replies, ANSWER_S, self)
        reply = self._replies.pop(mark)
        if "error" in reply:
            raise DeviceError(f"QEMU refuses {command}: {reply['error']}")

    def _job(self, command: str) -> None:
        job = f"job{secrets.token_hex(4)}"
        arguments = {"job-id": job, "tag": SNAPSHOT, "vmstate": "vmst", "devices": ["vmst"]}
        self._ask(command, arguments)
        _until(lambda: self._jobs.get(job) == "concluded", ANSWER_S, self)
        self._ask("job-dismiss", {"id": job})

    def _told(self, now_ns: int, line: bytes) -> None:
        told = json.loads(line)
        if "event" in told:
            self.events.append((now_ns, told["event"]))
            if told["event"] == "JOB_STATUS_CHANGE":
                self._jobs[told["data"]["id"]] = told["data"]["status"]
        elif "id" in told:
            self._replies[told["id"]] = told

    def _turned(self, now_ns: int, data: bytes) -> None:
        self.motor += [(now_ns, byte) for byte in data]

    def _answered(self, _now_ns: int, line: bytes) -> None:
        self._answers.append(json.loads(line))


def _command(vmlinux: Path, initrd: Path, folder: Path, uart: str | None) -> list[str]:
    def server(name: str) -> str:
        return f"path={folder / name},server=on,wait=off"

    second = ["-chardev", f"serial,id=uart,path={uart}", "-serial", "chardev:uart"]
    return [
        *(QEMU, "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", str(MEMORY_MB)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-kernel", str(vmlinux), "-initrd", str(initrd)),
        *("-append", "console=ttyS0 loglevel=4 panic=0"),
        *("-chardev", f"file,id=con,path={folder / 'console.log'}", "-serial", "chardev:con"),
        *(second if uart else ()),
        *("-chardev", f"socket,id=qmp,{server('qmp')}", "-mon", "chardev=qmp,mode=control"),
        *("-gdb", f"unix:{server('gdb')}"),
        *("-device", "virtio-serial-pci,id=vs", "-chardev", f"socket,id=ctl,{server('agent')}"),
        *("-device", "virtserialport,bus=vs.0,chardev=ctl,name=olympus.agent"),
        *("-chardev", f"socket,id=motor,{server('motor')}"),
        *("-device", "isa-debugcon,iobase=0xe9,chardev=motor"),
        *("-device", "i6300esb", "-action", "watchdog=none,panic=none"),
        "-blockdev",
        f"driver=qcow2,node-name=vmst,file.driver=file,file.filename={folder / 'snap.qcow2'}",
    ]


def _connected(path: Path) -> socket.socket:
    deadline = time.monotonic() + ANSWER_S
    while True:
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(str(path))
            return one
        except OSError as error:
            one.close()
            if time.monotonic() > deadline:
                raise DeviceError(f"QEMU does not open {path.name}: {error}") from error
            time.sleep(0.02)


def _gdb(port: socket.socket, body: str) -> str:
    """Send one packet of the debugger's protocol; return its answer, no news of a stop."""
    port.settimeout(ANSWER_S)
    port.sendall(b"$%b#%02x" % (body.encode(), sum(body.encode()) % 256))
    heard = b""
    while True:
        heard += port.recv(4096)
        for answer in _PACKET.findall(heard):
            if not answer.startswith(b"T"):
                port.sendall(b"+")
                return str(answer.decode())


def _number(digits: str) -> int:
    return int.from_bytes(bytes.fromhex(digits), "little")


def _until(condition: Look, within_s: float, machine: Machine) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if machine.process.poll() is not None:
            raise DeviceError(f"QEMU ended with code {machine.process.returncode}")
        if time.monotonic() > deadline:
            raise DeviceError(f"the guest does not answer; its console: {machine.console()[-500:]}")
        time.sleep(0.002)
