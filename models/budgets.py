"""What each caller may spend on models: tokens, time, energy, money, each in its own window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Final

from olympus.runtime.errors import ModelError

DAY_S: Final = 86400.0
_SPENDABLE: Final = ("tokens", "ms", "joules", "money")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost; joules only where the board can tell, money only for a remote model."""

    tokens: float = 0.0
    ms: float = 0.0
    joules: float = 0.0
    money: float = 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in a window of time; None is no limit."""

    tokens: float | None = None
    ms: float | None = None
    joules: float | None = None
    money: float | None = None
    window_s: float = DAY_S


class BudgetError(ModelError):
    """A caller has used up what it may spend."""


class Ledger:
    """Who spent what, and when."""

    def __init__(self, budgets: Mapping[str, Budget], now_ns: Callable[[], int]) -> None:
        """Take budgets by caller; `*` is for callers without one of their own."""
        self._budgets, self._now_ns = budgets, now_ns
        self._spent: dict[str, deque[tuple[int, Cost]]] = {}

    def check(self, caller: str) -> None:
        """Refuse a caller who has used something up.

        Raises:
            BudgetError: Names the caller, what is used up, and when there is some again.
        """
        budget = self._budget(caller)
        spent = self.spent(caller)
        for name in _SPENDABLE:
            limit = getattr(budget, name) if budget is not None else None
            if limit is not None and getattr(spent, name) >= limit:
                raise BudgetError(
                    f"caller {caller}: {getattr(spent, name):g} of {limit:g} {name} are spent; "
                    f"there is more in {self._frees_s(caller):.0f} s; or raise the budget"
                )

    def note(self, caller: str, cost: Cost, when_ns: int | None = None) -> None:
        """Write down what a call cost, now or, where it is remembered, when it was."""
        when_ns = self._now_ns() if when_ns is None else when_ns
        self._spent.setdefault(caller, deque()).append((when_ns, cost))

    def spent(self, caller: str) -> Cost:
        """Add up what a caller spent in the window of its budget."""
        entries = self._spent.get(caller)
        if not entries:
            return Cost()
        self._forget(caller, entries)
        sums = {
            one.name: sum(getattr(cost, one.name) for _, cost in entries) for one in fields(Cost)
        }
        return Cost(**sums)

    def _budget(self, caller: str) -> Budget | None:
        return self._budgets.get(caller, self._budgets.get("*"))

    def _forget(self, caller: str, entries: deque[tuple[int, Cost]]) -> None:
        budget = self._budget(caller)
        window_ns = (budget.window_s if budget is not None else DAY_S) * 1e9
        while entries and self._now_ns() - entries[0][0] >= window_ns:
            entries.popleft()

    def _frees_s(self, caller: str) -> float:
        budget, entries = self._budget(caller), self._spent.get(caller)
        if budget is None or not entries:
            return 0.0
        return max(0.0, budget.window_s - (self._now_ns() - entries[0][0]) / 1e9)
