"""The command line that `ps` shows of a process that was forked, not executed."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from pathlib import Path

_PR_SET_NAME, _PR_SET_MM, _PR_SET_MM_MAP = 15, 35, 14
_BEFORE_ARGUMENTS = (26, 27, 45, 46, 47)
_STACK, _ARG_START, _ARG_END, _ENV_START, _ENV_END = 28, 48, 49, 50, 51
_UNCHANGED = 2**32 - 1
_room: mmap.mmap | None = None


class _Map(ctypes.Structure):
    """`struct prctl_mm_map` of Linux."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("start_code", "end_code", "start_data")),
        *((name, ctypes.c_uint64) for name in ("end_data", "start_brk", "brk", "start_stack")),
        *((name, ctypes.c_uint64) for name in ("arg_start", "arg_end", "env_start", "env_end")),
        ("auxv", ctypes.c_void_p),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_uint32),
    )


def show(words: Sequence[str]) -> None:
    """Have /proc/PID/cmdline and `ps` show another command line, in the room of our own.

    The name, /proc/PID/comm, becomes that of the program: a script's own name is the launcher's.
    Linux takes arguments whose last byte is not zero for a text that ends at its first zero.

    Source: get_mm_cmdline in fs/proc/base.c of Linux.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NAME, Path(words[0]).name.encode(), 0, 0, 0)
    start, end = _fields(_ARG_START, _ARG_END)
    room = end - start
    if not start:  # hidden from us: it keeps the one it has
        return
    text = " ".join(words).encode()[: room - 2] + b"\0"
    ctypes.memmove(start, text.ljust(room, b"-"), room)


def widen() -> bool:
    """Make room for a command line of up to a page; return whether the system let us.

    It has none for processes that were not executed with as many arguments, and moves them only
    where the kernel was built with CONFIG_CHECKPOINT_RESTORE.

    Source: prctl_set_mm_map in kernel/sys.c of Linux.
    """
    global _room
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    _room = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(_room))
    before, environment = _fields(*_BEFORE_ARGUMENTS), _fields(_ENV_START, _ENV_END)
    wanted = _Map(
        *(*before, libc.sbrk(0), *_fields(_STACK), start, start + mmap.PAGESIZE, *environment),
        auxv=None,
        auxv_size=0,
        exe_fd=_UNCHANGED,
    )
    size = ctypes.sizeof(wanted)
    return not libc.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.byref(wanted), size, 0)


def _fields(*numbers: int) -> list[int]:
    """Return fields of /proc/self/stat, numbered as in proc(5)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return [int(fields[number - 3]) for number in numbers]
