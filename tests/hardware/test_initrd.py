"""The guest's file system: its Python finds all compiled, whatever Python made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import rig
from olympus.hardware.rig.initrd import make_initrd

IMAGE = rig.vm()
pytestmark = pytest.mark.skipif(IMAGE is None, reason="no virtual machine: `./run rig` fetches it")


def test_the_guests_python_finds_compiled_what_it_imports(tmp_path: Path) -> None:
    assert IMAGE is not None
    archive = make_initrd(IMAGE, (), tmp_path / "initrd").read_bytes()
    for name in ("opt/olympus/runtime/safety/__pycache__/guardian.", "__pycache__/socket."):
        assert name.encode() + b"cpython-311.pyc\0" in archive


def test_the_guest_has_a_python_of_its_own() -> None:
    assert IMAGE is not None
    code = "import sys; sys.stdout.write('{}.{}'.format(*sys.version_info[:2]))"
    told = subprocess.check_output([IMAGE / "python", "-S", "-c", code], text=True)
    assert f"python{told}" == rig.GUEST_PYTHON


def test_a_python_that_can_not_compile_is_named(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("for\n")
    assert IMAGE is not None
    with pytest.raises(rig.RigError, match=r"can't compile .*wrong\.py"):
        rig.compile_all(IMAGE / "python", tmp_path)
