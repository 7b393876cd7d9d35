"""Tells what a board is: model, processor, memory, kernel, real-time limits, temperature."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from olympus.hardware.devices import Device, find
from olympus.hardware.tree import Tree

# Instruction sets that quantized models run faster on.
# Source: names as in Linux /proc/cpuinfo, `flags` on x86 and `Features` on Arm.
FAST_INT8 = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm")

# Source: Linux uapi header capability.h; who holds these is beyond the limits.
CAP_IPC_LOCK = 14
CAP_SYS_NICE = 23


@dataclass(frozen=True, slots=True)
class Processor:
    """The CPU as the kernel sees it."""

    model: str
    machine: str
    """`x86_64` or `aarch64`."""
    cores: int
    features: tuple[str, ...]
    """Those of FAST_INT8 that it has."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What this user may ask of the scheduler and of memory."""

    realtime_priority: int
    """Highest SCHED_FIFO priority, 0 for none, 99 for all."""
    locked_memory_kb: int | None
    """How much may be locked into memory; None for no limit."""
    realtime_share: float
    """Part of each period real-time threads may use, 0..1."""


@dataclass(frozen=True, slots=True)
class Board:
    """All that is known about the machine we run on."""

    model: str
    compatible: tuple[str, ...]
    """The device tree's names, most specific first; empty on a PC."""
    processor: Processor
    memory_mb: int
    memory_free_mb: int
    disk_free_mb: int
    kernel: str
    preemption: str
    """RT, full, voluntary, dynamic or unknown."""
    limits: Limits
    idle_us: dict[str, int]
    """States in which a processor sleeps, and how long it takes to wake from them, us."""
    may_limit_idle: bool
    """Whether this user may forbid the deeper ones."""
    temperatures_c: dict[str, float]
    devices: tuple[Device, ...]

    def of_kind(self, kind: str) -> tuple[Device, ...]:
        """Return the devices of one kind, as `Device.kind` names it."""
        return tuple(device for device in self.devices if device.kind == kind)


def look(root: Path = Path("/")) -> Board:
    """Look at the machine.

    Args:
        root: The folder that holds `proc`, `sys` and `dev`.

    Returns:
        What is there; what can't be read is empty or zero, never guessed.
    """
    tree = Tree(root)
    memory = _memory_mb(tree)
    return Board(
        model=_model(tree),
        compatible=tuple(filter(None, tree.text("proc/device-tree/compatible").split("\0"))),
        processor=_processor(tree),
        memory_mb=memory.get("MemTotal", 0),
        memory_free_mb=memory.get("MemAvailable", 0),
        disk_free_mb=shutil.disk_usage(root).free // 2**20,
        kernel=tree.text("proc/sys/kernel/osrelease"),
        preemption=_preemption(tree),
        limits=_limits(tree),
        idle_us=_idle_us(tree),
        may_limit_idle=os.access(tree.root / "dev/cpu_dma_latency", os.W_OK),
        temperatures_c=_temperatures_c(tree),
        devices=find(tree),
    )


def _model(tree: Tree) -> str:
    dmi = [tree.text(f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name")]
    return tree.text("proc/device-tree/model") or " ".join(filter(None, dmi)) or "unknown board"


def _processor(tree: Tree) -> Processor:
    text = tree.text("proc/cpuinfo")
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    features = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    words = set(features[1].split()) if features else set()
    return Processor(
        model=model[1] if model else "unknown processor",
        machine=os.uname().machine,
        cores=len(re.findall(r"^processor\s*:", text, re.MULTILINE)),
        features=tuple(name for name in FAST_INT8 if name in words),
    )


def _memory_mb(tree: Tree) -> dict[str, int]:
    rows = re.findall(r"^(\w+):\s+(\d+) kB$", tree.text("proc/meminfo"), re.MULTILINE)
    return {name: int(kilobytes) // 1024 for name, kilobytes in rows}


def _preemption(tree: Tree) -> str:
    if tree.number("sys/kernel/realtime") == 1:
        return "RT"
    found = re.search(r"PREEMPT(?:_(RT|DYNAMIC))?\b", tree.text("proc/version"))
    if not found:
        return "unknown" if not tree.text("proc/version") else "voluntary"
    return {"RT": "RT", "DYNAMIC": "dynamic", None: "full"}[found[1]]


def _limits(tree: Tree) -> Limits:
    text = tree.text("proc/self/limits")
    priority = _soft_limit(text, "Max realtime priority")
    locked_bytes = _soft_limit(text, "Max locked memory")
    runtime_us = tree.number("proc/sys/kernel/sched_rt_runtime_us")
    period_us = tree.number("proc/sys/kernel/sched_rt_period_us") or 1_000_000
    if _may(tree, CAP_SYS_NICE):
        priority = None
    if _may(tree, CAP_IPC_LOCK):
        locked_bytes = None
    return Limits(
        realtime_priority=99 if priority is None else priority,
        locked_memory_kb=None if locked_bytes is None else locked_bytes // 1024,
        realtime_share=1.0 if runtime_us is None or runtime_us < 0 else runtime_us / period_us,
    )


def _soft_limit(text: str, name: str) -> int | None:
    """Return a soft limit, None for unlimited and 0 for one that isn't told."""
    found = re.search(rf"^{name}\s+(\S+)", text, re.MULTILINE)
    if found and found[1] == "unlimited":
        return None
    return int(found[1]) if found else 0


def _may(tree: Tree, capability: int) -> bool:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", tree.text("proc/self/status"), re.MULTILINE)
    return bool(found and int(found[1], 16) >> capability & 1)


def _idle_us(tree: Tree) -> dict[str, int]:
    found = tree.find("sys/devices/system/cpu/cpu0/cpuidle/state*")
    states = [f"sys/devices/system/cpu/cpu0/cpuidle/{path.name}" for path in found]
    return {tree.text(f"{state}/name"): tree.number(f"{state}/latency") or 0 for state in states}


def _temperatures_c(tree: Tree) -> dict[str, float]:
    found = tree.find("sys/class/thermal/thermal_zone*")
    zones = [f"sys/class/thermal/{path.name}" for path in found]
    readings = {tree.text(f"{zone}/type"): tree.number(f"{zone}/temp") for zone in zones}
    return {name: value / 1000 for name, value in readings.items() if value is not None}
