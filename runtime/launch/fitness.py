"""Refuses a launch whose CRITICAL jobs can be late on its board, or of which nobody knows it."""

from __future__ import annotations

from collections.abc import Iterable

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.asking import misasked
from olympus.runtime.launch.findings import Finding, deaf
from olympus.runtime.launch.plan import LaunchPlan
from olympus.runtime.launch.report import Report
from olympus.runtime.launch.timing import timing


def refuse_the_impossible(plan: LaunchPlan, findings: Iterable[Finding] = ()) -> None:
    """Look whether CRITICAL jobs are in time, where the launch names its board.

    Args:
        plan: The launch.
        findings: What the nodes' classes say, as soon as somebody has looked: then a job is also
            compared with where its model is kept, as `olympus check` does.

    Raises:
        LaunchError: They are not, or nobody knows.
    """
    if not plan.board:
        return
    found = timing(plan, plan.board, kept={finding.id: finding.models for finding in findings})
    if found.impossible:
        why = f"CRITICAL jobs can be late: {'; '.join(found.impossible)}"
    elif found.unjudged:
        why = f"nobody knows whether CRITICAL jobs are in time: {'; '.join(found.unjudged)}"
    else:
        return
    raise LaunchError(
        f"on {plan.board} {why}; `olympus check` shows the whole table, --overcommit starts it all "
        "the same"
    )


def look_over(
    plan: LaunchPlan, report: Report, findings: list[Finding], *, overcommits: bool
) -> None:
    """Tell of what nobody publishes, and of models nobody serves; refuse what can't be in time.

    Raises:
        LaunchError: CRITICAL jobs can be late, or nobody knows, and nobody `overcommits`.
    """
    for sentence in [*deaf(findings), *misasked(plan, findings)]:
        report.say(sentence, "warning")
    if not overcommits:
        refuse_the_impossible(plan, findings)
