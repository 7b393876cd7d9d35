"""Puts the guest together: a file system in memory, with Python, modules and this Olympus."""

from __future__ import annotations

import stat
import subprocess
import tempfile
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
    yield from _olympus(image / "python")


def _olympus(python: Path) -> Iterator[Entry]:
    house = Path(olympus.__file__).parent
    names = [*SOURCES]
    for folder in FOLDERS:
        names += [f"{folder}/{path.name}" for path in sorted((house / folder).glob("*.py"))]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "olympus"
        for name in names:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((house / name).read_bytes())
        _compile(python, copy)
        yield ("opt/olympus", stat.S_IFDIR | 0o755, b"")
        yield from _tree(copy, "opt/olympus/")


def _compile(python: Path, folder: Path) -> None:
    """Compile what the guest would else compile at every start; only its own Python can.

    Raises:
        OSError: That can't be done.
    """
    # Source: PEP 552: a hash that is not checked; the clock of the guest is of no matter then.
    how = ("-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/opt/olympus")
    command = [str(python), "-m", "compileall", *how, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise OSError(f"the guest's Python can't compile for it: {run.stdout}{run.stderr}")


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
