"""Times models on this board and keeps what was measured in a profile file."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import yaml

from olympus.models import llama_native
from olympus.models.llama import LlamaModel
from olympus.models.manifest import Latency, Times
from olympus.models.onnx import OnnxModel, blank
from olympus.models.registry import StoredModel
from olympus.models.swap import load
from olympus.models.wish import Wish
from olympus.runtime import yaml_text
from olympus.runtime.errors import ModelError

RUNS: Final = 1000
ANSWERS: Final = 60
"""Texts generated for a language model's profile; each is some dozens of steps."""
FIGURES: Final = ("p50_ms", "p99_ms", "worst_ms")
PROMPT: Final = "go to the place, then wait and turn around"
_MODEL = Path("/proc/device-tree/model")  # varies: measured for this board
_STATUS = Path("/proc/self/status")  # varies: so does what is measured
_BOARDS = {"Raspberry Pi 5": "pi5", "Raspberry Pi 4": "pi4", "Jetson Orin Nano": "jetson-orin-nano"}
_MACHINES = {"x86_64": "x86-64", "aarch64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Timing:
    """What one model costs on one board: one thread, wall time."""

    version: str
    n: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    step: Times | None = None
    """Language models: a single step, which is how long an urgent job may have to wait."""
    tokens_per_s: float | None = None
    memory_mb: float | None = None
    """Growth of a process by loading and running it."""

    def latency(self, board: str) -> Latency:
        """Give it as an entry of a manifest."""
        whole = {"p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "worst_ms": self.worst_ms}
        step = {} if self.step is None else {"step": self.step}
        return Latency.model_validate({"board": board, **whole, "n": self.n, **step})

    def to_json(self) -> dict[str, object]:
        """Give what is known as plain values."""
        values = {name: getattr(self, name) for name in self.__slots__}
        if self.step is not None:
            values["step"] = self.step.model_dump()
        return {name: value for name, value in values.items() if value is not None}


def board_name(model_file: Path = _MODEL) -> str:
    """Name this board as manifests do: `pi5`, `jetson-orin-nano`, else the processor's kind."""
    try:
        model = model_file.read_text(errors="replace")
    except OSError:
        model = ""
    found = (short for words, short in _BOARDS.items() if words in model)
    return next(found, _MACHINES.get(platform.machine(), platform.machine()))


def measure(stored: StoredModel, runs: int = RUNS) -> Timing:
    """Load a model and time it.

    Args:
        stored: From `Registry.find`.
        runs: Runs of a tensor model; a language model generates fewer texts.

    Raises:
        ModelError: It can't be loaded, or fails.
    """
    model = load(stored)
    timing = _language(model, runs) if isinstance(model, LlamaModel) else _tensor(model, runs)
    return replace(timing, memory_mb=_memory_mb(stored))


def _memory_mb(stored: StoredModel) -> float:
    """Tell how much a process grows by loading a model and running it; MB.

    A new process finds out: in this one a model may take what another, timed before it, gave back.

    Raises:
        ModelError: The process ended without telling it.
    """
    apart = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(max_workers=1, mp_context=apart) as pool:  # varies: so does memory
            return pool.submit(_growth_mb, stored).result()
    except BrokenProcessPool as error:
        raise ModelError(
            f"model {stored.name}: the process that measured its memory ended before it was done"
        ) from error


def _growth_mb(stored: StoredModel) -> float:
    llama_native.missing()  # loads the library: like ONNX Runtime's it is no model's memory
    before = resident_mb()
    model = load(stored)
    if isinstance(model, LlamaModel):
        _language(model, 1)
    else:
        _tensor(model, 1)
    return max(0.1, round(resident_mb() - before, 1))


def _tensor(model: OnnxModel, runs: int) -> Timing:
    feed = {tensor.name: blank(tensor) for tensor in model.manifest.inputs}
    spans = spans_ms(lambda: model.run(feed), runs)
    return Timing(model.manifest.version, runs, *figures(spans))


def _language(model: LlamaModel, runs: int) -> Timing:
    prompt = model.manifest.self_test[0].prompt if model.manifest.self_test else PROMPT
    answers = min(runs, ANSWERS)
    whole: list[float] = []
    steps: list[float] = []
    tokens = 0
    for _ in range(answers):
        generation = model.generate(prompt, Wish(special=True, max_tokens=32))
        began = time.perf_counter_ns()
        more = True
        while more:
            step = time.perf_counter_ns()
            more = generation.step()
            steps.append((time.perf_counter_ns() - step) / 1e6)
        whole.append((time.perf_counter_ns() - began) / 1e6)
        tokens += len(generation.result().tokens)
        generation.close()
    return Timing(
        model.manifest.version,
        answers,
        *figures(whole),
        step=Times(n=len(steps), **dict(zip(FIGURES, figures(steps), strict=True))),
        tokens_per_s=round(1000 * tokens / sum(whole), 1),
    )


def spans_ms(work: Callable[[], object], runs: int) -> list[float]:
    """Time a call many times; wall time."""
    spans = []
    for _ in range(runs):
        began = time.perf_counter_ns()
        work()
        spans.append((time.perf_counter_ns() - began) / 1e6)
    return spans


def figures(spans: list[float]) -> tuple[float, float, float]:
    """Give median, 99th percentile and worst, in ms."""
    p50, p99 = (round(float(np.quantile(spans, q)), 4) for q in (0.5, 0.99))
    return p50, p99, round(max(spans), 4)


def resident_mb() -> float:
    """Tell how much memory this process has; MB."""
    fields = _STATUS.read_text(encoding="ascii").split("VmRSS:", 1)[1].split()
    return int(fields[0]) * 1024 / 1e6


def kept_timings(path: Path, board: str) -> dict[str, object]:
    """Return what a profile file has of all models; nothing where it is new.

    Raises:
        ModelError: The file is of another board, no profile, or can be nowhere.
    """
    if not path.parent.is_dir():
        raise ModelError(f"{path}: there is no folder {path.parent}")
    if not path.exists():
        return {}
    try:
        old = yaml_text.parsed(yaml_text.read(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{path}: can't be read as a profile: {error}") from error
    if not isinstance(old, dict) or old.get("board") != board:
        raise ModelError(f"{path}: is no profile of board {board}; name another file")
    return dict(old.get("models") or {})


def write_profile(path: Path, board: str, timings: Mapping[str, Timing]) -> None:
    """Put timings into a profile file; those of other models in it stay.

    The file is whole at any time, and what others write at the same time is kept.

    Args:
        path: YAML: `{board: NAME, models: {MODEL: {version, n, p50_ms, p99_ms, worst_ms, ...}}}`.
        board: Whose timings these are.
        timings: By the model's name.

    Raises:
        ModelError: The file is of another board, no profile, or can't be written.
    """
    kept_timings(path, board)
    try:
        place = path.resolve()
        with _draft(place.with_name(place.name + ".new")) as draft:
            models = kept_timings(place, board)
            models |= {name: timing.to_json() for name, timing in timings.items()}
            text = yaml.safe_dump({"board": board, "models": models}, sort_keys=False)
            draft.write(text.encode())
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(place)
    except OSError as error:
        raise ModelError(f"{path}: can't be written: {error.strerror}") from error


@contextmanager
def _draft(path: Path) -> Iterator[BinaryIO]:
    """Open an empty file that is this writer's alone until the block ends.

    Raises:
        OSError: It can't be made.
    """
    while True:
        with path.open("ab") as draft:
            fcntl.flock(draft, fcntl.LOCK_EX)
            if _is_at(path, draft):  # else another writer had it, and has put it in place
                draft.truncate(0)
                yield draft
                return


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
