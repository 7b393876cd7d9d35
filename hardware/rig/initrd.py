"""Puts the guest together: a file system in memory, with Python, modules and this Olympus."""

from __future__ import annotations

import importlib.util
import marshal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import olympus

HERE: Final = Path(__file__).resolve().parent
INIT: Final = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mkdir -p /dev/shm
/bin/busybox mount -t tmpfs shm /dev/shm
for module in {modules}; do
    case $module in i6300esb) options=nowayout=1 ;; *) options= ;; esac
    /bin/busybox insmod /modules/$module.ko $options
done
exec /usr/bin/python3.11 -S /opt/guest/agent.py
"""
GUEST_PYTHON: Final = (3, 11)
LEFT_OUT: Final = ("usr/share", "usr/lib/python3.11/test", "usr/lib/python3.11/lib2to3")
SOURCES: Final = ("__init__.py", "runtime/__init__.py", "runtime/errors.py")
FOLDERS: Final = ("runtime/safety", "hardware")

Entry = tuple[str, int, bytes]
"""Path without a leading slash, mode, and content; of a symbolic link where it points."""


def make_initrd(image: Path, modules: tuple[str, ...], file: Path) -> Path:
    """Write the guest's file system.

    Args:
        image: What `./run rig vm` made.
        modules: Kernel modules, in the order in which they are loaded.
        file: Where to write it.

    Returns:
        The file: a cpio archive, not packed, so that the guest needn't unpack it.
    """
    with file.open("wb") as stream:
        for number, entry in enumerate(_entries(image, modules)):
            stream.write(_record(number, *entry))
        stream.write(_record(0, "TRAILER!!!", 0, b""))
    return file


def _entries(image: Path, modules: tuple[str, ...]) -> Iterator[Entry]:
    init = INIT.format(modules=" ".join(modules))
    yield ("init", stat.S_IFREG | 0o755, init.encode())
    for name in ("dev", "proc", "sys", "modules", "opt", "opt/guest"):
        yield (name, stat.S_IFDIR | 0o755, b"")
    yield from _tree(image / "root", "")
    yield from _tree(image / "modules", "modules/")
    yield from _tree(HERE / "guest", "opt/guest/")
    yield from _olympus()


def _olympus() -> Iterator[Entry]:
    house = Path(olympus.__file__).parent
    names = [*SOURCES]
    for folder in FOLDERS:
        names += [f"{folder}/{path.name}" for path in sorted((house / folder).glob("*.py"))]
    for folder in (
        "opt/olympus",
        "opt/olympus/runtime",
        *(f"opt/olympus/{one}" for one in FOLDERS),
    ):
        yield (folder, stat.S_IFDIR | 0o755, b"")
    for name in names:
        yield (f"opt/olympus/{name}", stat.S_IFREG | 0o644, (house / name).read_bytes())
    if sys.version_info[:2] == GUEST_PYTHON:
        yield from _compiled(house, names)


def _compiled(house: Path, names: list[str]) -> Iterator[Entry]:
    """Yield what the guest would else compile at every start."""
    folders = {str(Path(name).parent) for name in names}
    for folder in sorted(folders):
        yield (f"opt/olympus/{folder}/__pycache__", stat.S_IFDIR | 0o755, b"")
    for name in names:
        path = Path(name)
        source = (house / name).read_bytes()
        code = compile(source, f"/opt/olympus/{name}", "exec", dont_inherit=True)
        kept = f"opt/olympus/{path.parent}/__pycache__/{path.stem}.cpython-311.pyc"
        # Source: PEP 552: flags 1, a hash that is not checked.
        data = importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + bytes(8) + marshal.dumps(code)
        yield (kept, stat.S_IFREG | 0o644, data)


def _tree(root: Path, prefix: str) -> Iterator[Entry]:
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith(LEFT_OUT):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield (prefix + name, mode, str(path.readlink()).encode())
        else:
            yield (prefix + name, mode, b"" if path.is_dir() else path.read_bytes())


def _record(number: int, name: str, mode: int, data: bytes) -> bytes:
    """Return one file in cpio's newc format.

    Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    raw = name.encode() + b"\0"
    fields = (number + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
