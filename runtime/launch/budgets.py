"""Whether processes keep to what the launch file grants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from olympus.runtime.launch.schema import Budgets

if TYPE_CHECKING:
    import psutil

_MB = 1_000_000


class BudgetWatch:
    """Looks at one process now and then, and speaks when it goes over a budget or comes back."""

    def __init__(self, budgets: Budgets, warn: Callable[[str], None]) -> None:
        """Compare with `budgets`; tell `warn` a sentence."""
        self._budgets = budgets
        self._warn = warn
        self._process: psutil.Process | None = None
        self._over: set[str] = set()

    @property
    def is_needed(self) -> bool:
        """Whether there is any budget."""
        return self._budgets.cpu is not None or self._budgets.rss_mb is not None

    def look(self, pid: int | None) -> None:
        """Measure a process.

        Args:
            pid: The process; None while it is down.
        """
        import psutil  # most launches set no budget

        try:
            if pid is None:
                self._process = None
                return
            if self._process is None or self._process.pid != pid:
                self._process = psutil.Process(pid)
                self._process.cpu_percent()  # the first call only starts the measurement
                return
            self._compare("cores", self._process.cpu_percent() / 100, self._budgets.cpu)
            memory = self._process.memory_info()
            own = memory.rss - memory.shared  # pages of mapped files go as soon as others need room
            self._compare("MB", own / _MB, self._budgets.rss_mb)
        except psutil.NoSuchProcess:
            self._process = None

    def _compare(self, unit: str, used: float, budget: float | None) -> None:
        if budget is None:
            return
        if used > budget and unit not in self._over:
            self._over.add(unit)
            self._warn(f"over its budget: {used:.2f} of {budget:g} {unit}")
        elif used <= 0.9 * budget and unit in self._over:
            self._over.discard(unit)
            self._warn(f"back within its budget: {used:.2f} of {budget:g} {unit}")
