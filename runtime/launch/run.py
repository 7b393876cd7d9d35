"""The doors of this room: run a launch file, or check it."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from olympus.runtime.config import Session, new_session
from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.asking import misasked
from olympus.runtime.launch.build import make_plan
from olympus.runtime.launch.findings import Finding, wiring
from olympus.runtime.launch.fitness import refuse_the_impossible
from olympus.runtime.launch.forking import Passing
from olympus.runtime.launch.gateway import gateway_problems
from olympus.runtime.launch.inspection import inspected, placeholders
from olympus.runtime.launch.launcher import Launch, Options
from olympus.runtime.launch.params import Params, effective_params
from olympus.runtime.launch.plan import LaunchPlan
from olympus.runtime.launch.recipes import backstop_problem, private_leftovers
from olympus.runtime.launch.report import Report
from olympus.runtime.launch.waking import waking_within


def run_launch(
    file: Path,
    words: Sequence[str] = (),
    *,
    session: str | None = None,
    report: Report | None = None,
    options: Options | None = None,
) -> int:
    """Run a launch file until somebody stops it.

    Args:
        file: The launch file.
        words: `key:=value` words.
        session: Name of the session; the launch file's own when None.
        report: Tells the person.
        options: How the person wants it.

    Returns:
        0 after a clean stop; 1 when a process was given up.

    Raises:
        OlympusError: The launch file is wrong, or something could not start.
        LaunchError: There is no room left in the run folder.
        OSError: The system refused something else that nobody foresaw.
    """
    plan, options = make_plan(file, words), options or Options()
    if not options.overcommits:
        refuse_the_impossible(plan)
    place = new_session(session or plan.name)
    try:
        _tidy(place)
        return asyncio.run(_launched(plan, place, report or Report(), options))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise LaunchError(
            f"there is no room left in {place.run_dir}; make some, or set XDG_RUNTIME_DIR to "
            "another place"
        ) from error
    finally:
        for secret in (*private_leftovers(place), place.file):
            secret.unlink(missing_ok=True)


async def _launched(plan: LaunchPlan, session: Session, report: Report, options: Options) -> int:
    with waking_within(plan.wake_us, report.say):
        return await Launch(plan, session, report, options).run()


def _tidy(session: Session) -> None:
    """Remove what an earlier session of the same name left behind."""
    shutil.rmtree(session.run_dir / "spill", ignore_errors=True)
    for folder in (session.log_dir, session.run_dir / "hosts"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    for kind in ("*.url", "*.hangs", "*.loading"):  # models may be others, or mended, by now
        for old in session.run_dir.glob(kind):
            old.unlink()


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    plan: LaunchPlan
    """The launch."""
    findings: tuple[Finding, ...]
    """Per node, what its class says; empty without imports."""
    problems: tuple[str, ...]
    """Why it would not start."""
    notes: tuple[str, ...]
    """What is worth a look."""


def check_launch(file: Path, words: Sequence[str] = (), *, imports: bool = True) -> Checked:
    """Find out whether a launch file would start, without starting anything.

    Args:
        file: The launch file.
        words: `key:=value` words.
        imports: Whether to look at the nodes' classes too.

    Raises:
        LaunchError: The file itself is wrong.
    """
    plan = make_plan(file, words)
    params = effective_params(plan, placeholders())
    unfit = [text for text in (backstop_problem(plan, placeholders()),) if text]
    findings = asyncio.run(_inspected(plan, params)) if imports else []
    outward = gateway_problems(plan.bus, plan.file.parent)
    problems = (*unfit, *outward, *(finding.problem for finding in findings if finding.problem))
    notes = [*plan.notes, *(note for finding in findings for note in finding.notes)]
    # A node with a problem tells no topics, and no models.
    loose = [] if problems else [*wiring(findings), *misasked(plan, findings)]
    return Checked(plan, tuple(findings), problems, (*notes, *loose))


async def _inspected(plan: LaunchPlan, params: Mapping[str, Params]) -> list[Finding]:
    nursery = Passing()
    await nursery.start()
    try:
        return await inspected(plan, params, nursery)
    finally:
        await nursery.settle()
