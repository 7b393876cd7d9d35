"""Pays for calls of far models: on the thread that makes the call, whoever still waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from olympus.models.budgets import DAY_S, Budget, Cost, Ledger
from olympus.models.purse import Purse, PurseError

_log = logging.getLogger(__name__)
_ALL: Final = "@remote"
"""Who spends the day's money in messages: all callers together."""
Paying = Callable[[Cost, Callable[[], Cost]], AbstractContextManager[None]]
"""Takes the most that a call may cost and, at its end, asks what it did cost."""


class Till:
    """The money of a day, beside what each caller may spend.

    A call begins while what is spent and what calls under way may cost at most leave something. So
    the day's budget is overrun by no more than the last call that begins, and by what endpoints
    bill beyond the most that was expected.
    """

    def __init__(
        self,
        daily_budget: float,
        callers: Ledger,
        now_ns: Callable[[], int],
        purse: Purse | None,
    ) -> None:
        """Count what the purse remembers of the last day; where it can't be read, there is no call.

        Args:
            daily_budget: Money that may be spent in a day.
            callers: What each caller spends is noted there too.
            now_ns: Robot time; with a purse, Unix time.
            purse: Remembers the money beyond this process.
        """
        self._callers, self._now_ns, self._purse = callers, now_ns, purse
        self._day = Ledger({_ALL: Budget(money=daily_budget)}, now_ns)
        self.unwritten = 0
        """Payments that could not be written down when they were made."""
        self._lock, self._is_read = threading.Lock(), purse is None
        try:
            self._read()
        except PurseError as error:
            _log.error("no far model is called: %s", error)

    def check(self) -> None:
        """See whether there is money left; reads no file.

        Raises:
            BudgetError: There is none.
        """
        self._day.check(_ALL)

    @contextmanager
    def call(self, caller: str, most: Cost, cost: Callable[[], Cost]) -> Iterator[None]:
        """Pay for a call that is made within.

        Args:
            caller: Who asks, for its own budget.
            most: What the call may cost.
            cost: Says, when it is over, what it did cost.

        Raises:
            BudgetError: There is no money left, for the caller or for anybody.
            PurseError: It could not be written down, or what was spent before can't be read.
        """
        self._read()
        with self._day.held(_ALL, Cost(money=most.money)), self._callers.held(caller, most):
            number = self._purse.begin(self._now_ns(), most.money) if self._purse else 0
            try:
                yield
            finally:
                paid = cost()
                self._day.note(_ALL, Cost(money=paid.money))
                self._callers.note(caller, paid)
                self._write(number, paid.money)

    def _read(self) -> None:
        """Count what was spent before, once.

        Raises:
            PurseError: It can't be read.
        """
        with self._lock:
            if self._is_read or self._purse is None:
                return
            now_ns = self._now_ns()
            since_ns = now_ns - round(DAY_S * 1e9)
            for when_ns, money in self._purse.spent_since(since_ns, now_ns=now_ns):
                self._day.note(_ALL, Cost(money=money), when_ns)
            self._is_read = True

    def _write(self, number: int, money: float) -> None:
        """Write down what was paid; where that fails the answer is given all the same."""
        if self._purse is None:
            return
        try:
            self._purse.end(number, self._now_ns(), money)
        except PurseError as error:
            self.unwritten += 1
            _log.error(
                "a payment of %g could not be written down (%d so far); no far model is called "
                "until it is: %s",
                money,
                self.unwritten,
                error,
            )
