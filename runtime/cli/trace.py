"""`olympus trace`: what a scheduler decided, job by job."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from olympus.runtime.cli.connect import AsJson, SessionName
from olympus.runtime.config import find_session
from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.scheduler.job import NEVER_NS, Job
from olympus.runtime.scheduler.trace import EVENT_OF, Record, Recording, read_trace

_ENDS = tuple(EVENT_OF.values())


def trace(
    what: Annotated[
        str | None,
        typer.Argument(help="HOST/RESOURCE of a running session, or a .trace file; none lists."),
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="Show so many of the last events.")] = 20,
    as_json: AsJson = False,
    session: SessionName = None,
) -> None:
    """Show a scheduler's dispatch trace: what arrived, was decided and ended.

    A running host writes its trace every second.

    Raises:
        ConfigError: There is no such trace, or it can't be read.
    """
    if what is None:
        for name in _traces(session):
            typer.echo(name)
        return
    recording = read_trace(_file(what, session))
    if as_json:
        for row in _rows(recording):
            typer.echo(json.dumps(row))
        return
    for line in _summary(recording):
        typer.echo(line)
    rows = list(_rows(recording))
    for row in rows[len(rows) - min(last, len(rows)) :]:
        typer.echo(_line(row))


def _traces(session: str | None) -> dict[str, Path]:
    folder = find_session(session).run_dir / "dispatch"
    files = sorted(folder.glob("*/*.trace"))
    return {f"{file.parent.name}/{file.stem}": file for file in files}


def _file(what: str, session: str | None) -> Path:
    if what.endswith((".trace", ".old")) or Path(what).is_file():
        return Path(what)
    known = _traces(session)
    if what not in known:
        raise ConfigError(f"no trace {what!r}; {did_you_mean(what, known)}")
    return known[what]


def _rows(recording: Recording) -> Iterator[dict[str, object]]:
    """Return every event with the job it is about; times in ms since the trace began."""
    jobs: dict[int, Job] = {}
    for record in recording.records:
        if record.charge is not None:
            continue  # a sum of use, for those who decide again
        if record.arrival is not None:
            jobs[record.job] = record.arrival
        yield _row(record, jobs.get(record.job), recording.start_ns)
        if record.event in _ENDS:
            jobs.pop(record.job, None)


def _row(record: Record, job: Job | None, start_ns: int) -> dict[str, object]:
    row: dict[str, object] = {
        "ms": round((record.time_ns - start_ns) / 1e6, 3),
        "event": record.event.name.lower(),
        "job": record.job,
    }
    if job is not None:
        row |= {"tier": job.tier.name, "source": job.source, "what": job.what}
        row["since_arrival_ms"] = round((record.time_ns - job.arrived_ns) / 1e6, 3)
        if job.deadline_ns != NEVER_NS:
            row["left_ms"] = round((job.deadline_ns - record.time_ns) / 1e6, 3)
    if record.worker is not None:
        row["worker"] = record.worker
    return row


def _summary(recording: Recording) -> Iterator[str]:
    """Return a line for each source: how many of its jobs came, and how they ended."""
    ends: dict[tuple[str, str], Counter[str]] = {}
    for row in _rows(recording):
        key = (str(row.get("tier", "?")), str(row.get("source", "?")))
        ends.setdefault(key, Counter())[str(row["event"])] += 1
    yield f"{recording.resource}: {recording.workers} worker(s), {len(recording.records)} events"
    for (tier, source), counts in sorted(ends.items()):
        yield f"  {tier:9} {source:24} " + ", ".join(f"{n} {event}" for event, n in counts.items())


def _line(row: dict[str, object]) -> str:
    left = f"  {row['left_ms']} ms left" if "left_ms" in row else ""
    tier, source = row.get("tier", ""), row.get("source", "")
    return f"{row['ms']:>12} ms  {row['event']:10} {row['job']:>7}  {tier:9} {source}{left}"
