"""What each caller may spend on models: tokens, time, energy, money, each in its own window."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from olympus.models.blame import BlamelessError

DAY_S: Final = 86400.0
SPANS: Final = 256
"""How finely a window is kept: what was spent is left out at most this part of it too late."""
ACCOUNTS: Final = 1024
"""So many callers without a budget of their own name are kept in mind at least."""
_SPENDABLE: Final = ("tokens", "ms", "joules", "money")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost; joules only where the board can tell, money only for a remote model."""

    tokens: float = 0.0
    ms: float = 0.0
    joules: float = 0.0
    money: float = 0.0

    def less(self, other: Cost) -> Cost:
        """Return what is left of it without another."""
        return Cost(
            self.tokens - other.tokens,
            self.ms - other.ms,
            self.joules - other.joules,
            self.money - other.money,
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in a window of time; None is no limit."""

    tokens: float | None = None
    ms: float | None = None
    joules: float | None = None
    money: float | None = None
    window_s: float = DAY_S


class BudgetError(BlamelessError):
    """A caller has used up what it may spend."""


@dataclass(slots=True)
class _Span:
    """What was spent in a short while."""

    began_ns: int
    ended_ns: int
    cost: Cost


class _Account:
    """What one caller spent in its window, in few enough spans to be added up at any time."""

    def __init__(self, window_s: float) -> None:
        self._window_ns = round(window_s * 1e9)
        self.spans: deque[_Span] = deque()
        self.total = Cost()
        self.holds: list[Cost] = []
        """What calls that are under way may cost at most."""

    @property
    def held(self) -> Cost:
        return _sum(self.holds)

    def note(self, when_ns: int, cost: Cost) -> None:
        last = self.spans[-1] if self.spans else None
        if last is not None and when_ns - last.began_ns < self._window_ns / SPANS:
            last.ended_ns, last.cost = max(when_ns, last.ended_ns), _sum((last.cost, cost))
        else:
            self.spans.append(_Span(when_ns, when_ns, cost))
        self.total = _sum((self.total, cost))

    def forget(self, now_ns: int) -> None:
        """Leave out what is older than the window."""
        before = len(self.spans)
        while self.spans and now_ns - self.spans[0].ended_ns >= self._window_ns:
            self.spans.popleft()
        if len(self.spans) < before:
            self.total = _sum(span.cost for span in self.spans)

    def frees_s(self, now_ns: int) -> float:
        """Return how long until some of it is left out."""
        if not self.spans:
            return 0.0
        return max(0.0, (self._window_ns - (now_ns - self.spans[0].ended_ns)) / 1e9)


class Ledger:
    """Who spent what, and when; any thread may ask it."""

    def __init__(self, budgets: Mapping[str, Budget], now_ns: Callable[[], int]) -> None:
        """Take budgets by caller; `*` is for callers without one of their own.

        Of more than `ACCOUNTS` of those, the one that has spent nothing for longest is forgotten:
        names are easily made up, and room is not.
        """
        self._budgets, self._now_ns = budgets, now_ns
        self._limits = {caller: _limits(budget) for caller, budget in budgets.items()}
        self._limits_of_others = self._limits.get("*", ())
        self._accounts: dict[str, _Account] = {}  # who spent last is last
        self._lock = threading.RLock()

    def check(self, caller: str) -> None:
        """Refuse a caller who has used something up, what is held for it included.

        Raises:
            BudgetError: Names the caller, what is used up, and when there is some again.
        """
        with self._lock:
            account = self._accounts.get(caller)
            if account is None:
                return
            account.forget(self._now_ns())
            spent = account.total if not account.holds else _sum((account.total, account.held))
            for name, limit in self._limits.get(caller, self._limits_of_others):
                if getattr(spent, name) >= limit:
                    raise BudgetError(f"caller {caller}: {self._told(account, name, limit)}")

    @contextmanager
    def held(self, caller: str, most: Cost) -> Iterator[None]:
        """Hold back what a call may cost while it is under way.

        What it did cost is to be noted before that ends.

        Args:
            caller: Who asks.
            most: What is held back.

        Raises:
            BudgetError: The caller has used something up.
        """
        with self._lock:
            self.check(caller)
            account = self._account(caller)
            account.holds.append(most)
        try:
            yield
        finally:
            with self._lock:
                account.holds.remove(most)

    def note(self, caller: str, cost: Cost, when_ns: int | None = None) -> None:
        """Write down what a call cost, now or, where it is remembered, when it was."""
        with self._lock:
            account = self._account(caller)
            account.note(self._now_ns() if when_ns is None else when_ns, cost)
            self._accounts[caller] = self._accounts.pop(caller)

    def spent(self, caller: str) -> Cost:
        """Add up what a caller spent in the window of its budget."""
        with self._lock:
            account = self._accounts.get(caller)
            if account is None:
                return Cost()
            account.forget(self._now_ns())
            return account.total

    def _told(self, account: _Account, name: str, limit: float) -> str:
        """Say what is used up, and when there is some again."""
        spent, held = getattr(account.total, name), getattr(account.held, name)
        told = f"{spent:g} of {limit:g} {name} are spent"
        if spent < limit:
            return f"{told} and {held:g} held for calls under way; ask again when those are over"
        free_s = account.frees_s(self._now_ns())
        return f"{told}; there is more in {free_s:.0f} s; or raise the budget"

    def _budget(self, caller: str) -> Budget:
        return self._budgets.get(caller) or self._budgets.get("*") or Budget()

    def _account(self, caller: str) -> _Account:
        if caller not in self._accounts:
            if len(self._accounts) >= ACCOUNTS + len(self._budgets):
                self._forget_one()
            self._accounts[caller] = _Account(self._budget(caller).window_s)
        return self._accounts[caller]

    def _forget_one(self) -> None:
        for name, account in self._accounts.items():
            if not account.holds and name not in self._budgets:
                del self._accounts[name]
                return


def _limits(budget: Budget) -> tuple[tuple[str, float], ...]:
    told = ((name, getattr(budget, name)) for name in _SPENDABLE)
    return tuple((name, limit) for name, limit in told if limit is not None)


def _sum(costs: Iterable[Cost]) -> Cost:
    tokens = ms = joules = money = 0.0
    for cost in costs:
        tokens += cost.tokens
        ms += cost.ms
        joules += cost.joules
        money += cost.money
    return Cost(tokens, ms, joules, money)
