"""Conditions that motion depends on, as others vouch for them; a word may be good for a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from olympus.runtime.safety.protocol import ConditionReport
from olympus.runtime.safety.settings import MOST_NAMES

_NS_PER_S: Final = 1_000_000_000


class Conditions:
    """The newest word on each condition."""

    def __init__(self, declared: Iterable[str]) -> None:
        """Name those that must have been reported good before motion is permitted."""
        self._reports: dict[str, ConditionReport | None] = dict.fromkeys(declared)
        self._heard_ns: dict[str, int] = {}

    def take(self, report: ConditionReport, now_ns: int) -> str:
        """Take a report in.

        Args:
            report: What was said.
            now_ns: CLOCK_MONOTONIC.

        Returns:
            Empty, or why it is not kept.
        """
        if report.name not in self._reports and len(self._reports) >= MOST_NAMES:
            return f"there are {MOST_NAMES} conditions already; declare the ones that matter"
        self._reports[report.name] = report
        self._heard_ns[report.name] = now_ns
        return ""

    def problems(self, now_ns: int) -> Iterator[str]:
        """Say which are not good, or not known any more."""
        for name in self._reports:
            if problem := self._problem(name, now_ns):
                yield f"condition {name}: {problem}"

    def told(self, now_ns: int) -> list[dict[str, object]]:
        """Tell all, ready for JSON."""
        return [self._told(name, now_ns) for name in self._reports]

    def _told(self, name: str, now_ns: int) -> dict[str, object]:
        problem, report = self._problem(name, now_ns), self._reports[name]
        is_outdated = report is None or (report.ok and problem)
        text = problem if report is None or is_outdated else report.text
        return {"name": name, "ok": not problem, "text": text}

    def _problem(self, name: str, now_ns: int) -> str:
        report = self._reports[name]
        if report is None:
            return "never reported"
        if not report.ok:
            return report.text or "not good"
        age_s = (now_ns - self._heard_ns[name]) / _NS_PER_S
        if report.good_for_s is not None and age_s > report.good_for_s:
            return (
                f"last reported good {age_s:.1f} s ago, good for {report.good_for_s:g} s; "
                "does whoever watches it still run?"
            )
        return ""
