"""A robot in a virtual machine that does not come up leaves no process behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from olympus.hardware.rig import os_faults
from olympus.runtime.errors import DeviceError


class Part:
    """A machine, or a relay: says when it is switched off."""

    port = "/dev/null"

    def __init__(self, off: list[str], name: str, fault: str) -> None:
        self._off, self._name, self._fault = off, name, fault

    def run(self, _statements: str) -> None:
        if self._fault == "run":
            raise DeviceError("it does not answer")

    def evaluate(self, _expression: str) -> list[str]:
        if self._fault == "evaluate":
            raise DeviceError("it does not answer")
        return []

    def event_after(self, _name: str, _since_ns: int) -> int | None:
        return 1 if self._fault == "bite" else None

    def save(self) -> None:
        if self._fault == "save":
            raise DeviceError("it keeps nothing")

    def close(self) -> None:
        self._off.append(self._name)


def theatre(monkeypatch: pytest.MonkeyPatch, folder: Path, off: list[str], fault: str) -> None:
    monkeypatch.setattr(os_faults, "make_initrd", lambda *_: folder)
    monkeypatch.setattr(os_faults, "RelayBoard", lambda *_: Part(off, "relay", fault))
    monkeypatch.setattr(os_faults, "Machine", lambda *_: Part(off, "machine", fault))
    os_faults.Theatre(folder, (), folder, folder)


@pytest.mark.parametrize("fault", ["run", "evaluate", "bite", "save"])
def test_what_does_not_come_up_is_switched_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    off: list[str] = []
    with pytest.raises(DeviceError):
        theatre(monkeypatch, tmp_path, off, fault)
    assert off == ["machine", "relay"]


def test_what_comes_up_stays_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    off: list[str] = []
    theatre(monkeypatch, tmp_path, off, "")
    assert off == []
