"""The few calls of llama.cpp that Olympus makes, with its errors turned into sentences."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from olympus.runtime.errors import ModelError

_CPUINFO = Path("/proc/cpuinfo")  # varies: whether models run, not what they say
NEEDED_FLAGS = ("avx2", "fma", "f16c", "bmi2")
WAY_OUT = (
    "language models need llama-cpp-python, which ./run builds where it finds a C++ compiler: "
    "`sudo apt install g++`, then `./run setup --force`"
)


def missing(cpuinfo: Path = _CPUINFO) -> str:
    """Say what keeps language models from running here; empty when nothing does."""
    if lacking := lacking_flags(cpuinfo):
        return (
            f"this processor lacks {', '.join(lacking)}, which the llama.cpp that ./run builds"
            " needs (any x86-64 since 2013 has it); build llama-cpp-python yourself without them"
        )
    try:
        _import()
    except (ImportError, OSError, RuntimeError) as error:
        return f"{WAY_OUT} ({error})"
    return ""


@cache
def _import() -> None:
    import llama_cpp._utils as theirs

    # It opens /dev/null twice for as long as the process lives; Python complains at the end.
    for name in ("outnull_file", "errnull_file"):
        if nowhere := getattr(theirs, name, None):
            atexit.register(nowhere.close)


def lacking_flags(cpuinfo: Path = _CPUINFO, machine: str = "") -> list[str]:
    """List what the processor can't do and llama.cpp would crash on (SIGILL)."""
    if (machine or platform.machine()) != "x86_64":
        return []
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return []
    flags = next(
        (line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), None
    )
    return [] if flags is None else [flag for flag in NEEDED_FLAGS if flag not in flags]


@cache
def library() -> Any:
    """Load llama.cpp once, and silence its log (hundreds of lines on standard error).

    Returns:
        The module `llama_cpp.llama_cpp`: plain C functions.

    Raises:
        ModelError: It is not installed or can't run on this processor.
    """
    if reason := missing():
        raise ModelError(reason)
    import llama_cpp.llama_cpp as native

    # Else it starts a debugger where it ends a process, which takes seconds.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # varies: only how a process ends
    _silence(native)
    native.llama_backend_init()
    return native


_kept: list[object] = []
"""What C holds pointers to must not be collected."""


def _silence(native: Any) -> None:
    callback = native.llama_log_callback(lambda *_: None)
    _kept.append(callback)
    native.llama_log_set(callback, ctypes.c_void_p(0))


class AbortFlag:
    """A byte that llama.cpp looks at after each node of its graph.

    It is read by the C library's own `strlen`: no Python runs and no lock is taken in between.
    """

    def __init__(self, native: Any, context: Any) -> None:
        """Tell a context where the byte is."""
        self._byte = ctypes.create_string_buffer(2)
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
        self._callback = native.ggml_abort_callback(strlen)
        native.llama_set_abort_callback(
            context, self._callback, ctypes.cast(self._byte, ctypes.c_void_p)
        )

    def set(self, on: bool) -> None:
        """Raise or lower the flag; from any thread."""
        self._byte[0] = b"\x01" if on else b"\x00"


def tokenize(native: Any, vocab: Any, text: str, *, special: bool) -> list[int]:
    """Turn text into tokens.

    Args:
        native: From `library`.
        vocab: A model's vocabulary.
        text: Any text.
        special: Read `<|...|>` as special tokens, and begin with the model's own first token.

    Raises:
        ModelError: The model refuses it.
    """
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise ModelError(f"text {text[:60]!r} holds half a letter at {error.start}") from error
    room = len(raw) + 16
    tokens = (native.llama_token * room)()
    count = native.llama_tokenize(vocab, raw, len(raw), tokens, room, special, special)
    if count < 0:
        raise ModelError(f"text {text[:60]!r} can't be turned into tokens ({count})")
    return list(tokens[:count])


def piece(native: Any, vocab: Any, token: int) -> bytes:
    """Return the bytes that a token stands for; special tokens stand for none."""
    room = 64
    while True:
        buffer = ctypes.create_string_buffer(room)
        size = int(native.llama_token_to_piece(vocab, token, buffer, room, 0, False))
        if size >= 0:
            return buffer.raw[:size]
        room = -size


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep C code from writing to standard error; what it means is raised in Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
