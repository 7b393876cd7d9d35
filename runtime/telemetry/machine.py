"""What of a machine can change a result's last bit: versions, threads, the processor."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "onnxruntime", "llama-cpp-python", "mujoco-core", "olympus-edge")
"""Packages that compute."""
FEATURES = (
    "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx_vnni",
    "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve",
)  # fmt: skip
"""Abilities of a processor by which numpy, ONNX Runtime and llama.cpp choose their kernels."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@cache
def machine_facts() -> dict[str, str]:
    """Return what a result may depend on besides the code: names and values, in words."""
    facts = {
        "python": platform.python_version(),
        "system": f"{sys.platform} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
        "cpu": cpu_name(),
        "cpu features": " ".join(cpu_features()),
        "cpus": str(os.cpu_count() or 1),
        "hash seed": os.environ.get("PYTHONHASHSEED", "random"),
    }
    facts |= {name: _version(name) for name in PACKAGES}
    return facts | {name: os.environ[name] for name in _THREADS if name in os.environ}


@cache
def cpu_features() -> tuple[str, ...]:
    """Return which of `FEATURES` this machine's processor has."""
    found = _cpuinfo("flags", "Features").split()
    return tuple(name for name in FEATURES if name in found)


@cache
def cpu_name() -> str:
    """Return what the processor calls itself; '' where it does not say."""
    return _cpuinfo("model name", "CPU part")


def _cpuinfo(*keys: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in keys:
            return value.strip()
    return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
