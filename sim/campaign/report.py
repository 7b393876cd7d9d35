"""What trials came to: a table for people, a picture, and the verdict."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from olympus.sim.campaign.trial import Result

GOAL_MS = 100.0
WORST_MS = 250.0
_LEFT, _WIDTH, _ROW, _TOP = 340, 620, 17, 46
_SPAN_MS = 300.0
_BINS = 60
_MOST_LINES = 8
_MOST_TOLD = 5


def save(path: Path, results: Iterable[Result]) -> None:
    """Append results to a file, one JSON object a line."""
    with path.open("a") as file:
        for one in results:
            file.write(json.dumps(asdict(one)) + "\n")


def load(paths: Iterable[Path]) -> list[Result]:
    """Read the results of one or more files."""
    lines = (line for path in paths for line in path.read_text().splitlines())
    return [Result(**json.loads(line)) for line in lines]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed; NaN without any."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def table(results: Sequence[Result]) -> str:
    """Return a table in Markdown: per fault n, p50, p99, worst, who said neutral, read-back."""
    rows = ["| fault | n | p50 ms | p99 ms | worst ms | said neutral | read back | not ok |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    rows += [_row(name, group) for name, group in _groups(results)]
    timed = [one for one in results if one.ms is not None]
    rows.append(_row("**all that stop**", timed))
    return "\n".join(rows)


_KINDS = (
    ("two faults at once", (" + ",)),
    (
        "a stop that is asked for, whatever else is wrong",
        ("stop asked", "stop in", "stop on", "stop:"),
    ),
    ("a process killed", ("SIGKILL", "SIGSEGV", "killed when")),
    ("a process frozen", ("SIGSTOP", "gateway frozen")),
    ("a loop that hangs", ("GIL held", "loop blocked", "deadlock", "infinite", "memory exhausted")),
    ("commands that end, are cut off, replayed or no numbers", ("commands ", "commander ")),
    ("forged resets and seals, a corrupted or deleted stop line", ("reset", "seal", "stop line")),
)
"""Kinds of faults, and what is in the names of each; the first that fits counts."""


def summary(results: Sequence[Result], must_stop: Collection[str]) -> str:
    """Return a table in Markdown: per kind of fault n, p50, p99, worst and what failed.

    Args:
        results: Of all trials.
        must_stop: Names of the faults after which the motors must be neutral.
    """
    rows = [
        "| what must stop | n | p50 ms | p99 ms | worst ms | failed |",
        "|---|---|---|---|---|---|",
    ]
    due = [one for one in results if one.fault in must_stop]
    for kind, _ in (*_KINDS, ("others", ())):
        if group := [one for one in due if _kind(one.fault) == kind]:
            rows.append(_line(kind, group))
    rows.append(_line("**all that must stop**", due))
    return "\n".join(rows)


def failures(results: Sequence[Result], *, more: str = "") -> list[str]:
    """Return all that is known of each trial that is not ok, with the commands that repeat it.

    Args:
        results: Of all trials.
        more: Words of the command that these were planned with, besides seed and count.
    """
    return [_failure(one, more) for one in results if one.verdict != "ok"]


def _failure(one: Result, more: str) -> str:
    command = f"./run faults --seed {one.seed}{more}{' --loaded' * one.is_loaded}"
    before = max(0, one.index - 2)
    still = f"a processor stood still for {one.still_ms:.0f} ms"
    if not one.still_ms:
        still = "no processor was seen to stand still"
    lines = [
        f"trial {one.index}: {one.fault}: {one.verdict}",
        f"  cause: {one.cause or 'nothing was latched, or nobody says'}",
        f"  load average {one.at_s:.1f}; {still}; {one.stolen_ms:.0f} ms were stolen from them",
        f"  again: {command} --only {one.index}",
        f"  again, after the two before it: {command} --first {before} --count {one.index + 1}",
    ]
    if one.evidence and one.evidence != one.cause:
        lines[2:2] = ["  evidence: " + one.evidence.splitlines()[0]]
        lines[3:3] = [f"  {line}" for line in one.evidence.splitlines()[1:_MOST_LINES]]
    return "\n".join(lines)


def verdict(results: Sequence[Result], *, more: str = "") -> str:
    """Return what a campaign that failed says last; empty for one in which all is ok.

    All that is known of each trial that is not ok, of as many as are read; at the very end each in
    a line, since often the end alone is seen.

    Args:
        results: Of all trials.
        more: Words of the command that these were planned with, besides seed and count.
    """
    bad = [one for one in results if one.verdict != "ok"]
    if not bad:
        return ""
    lines = [f"{len(bad)} of {len(results)} trials were not ok:"]
    lines += failures(bad[:_MOST_TOLD], more=more)
    if len(bad) > 1:
        lines += [f"not ok: trial {one.index}: {one.fault}: {one.verdict}" for one in bad]
    return "\n".join(lines)


def picture(results: Sequence[Result]) -> str:
    """Return an SVG: a histogram of milliseconds for each fault, and the goals as lines."""
    groups = [(name, group) for name, group in _groups(results) if _times(group)]
    height = _TOP + _ROW * len(groups) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 90}" height="{height}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_LEFT}" y="16" font-size="13">From the fault to a neutral motor command, ms; '
        f"{sum(len(_times(group)) for _, group in groups)} trials</text>",
    ]
    for ms in range(0, int(_SPAN_MS) + 1, 50):
        colour = {GOAL_MS: "#2a7", WORST_MS: "#c33"}.get(float(ms), "#ddd")
        parts.append(
            f'<line x1="{_x(ms):.1f}" x2="{_x(ms):.1f}" y1="{_TOP - 6}" y2="{height - 20}" '
            f'stroke="{colour}"/><text x="{_x(ms):.1f}" y="{_TOP - 12}" text-anchor="middle" '
            f'fill="#555">{ms}</text>'
        )
    for number, (name, group) in enumerate(groups):
        parts += _strip(name, _times(group), _TOP + _ROW * number)
    return "\n".join([*parts, "</svg>\n"])


def _strip(name: str, times: Sequence[float], top: float) -> list[str]:
    base = top + _ROW - 3
    bins = Counter(min(int(ms / _SPAN_MS * _BINS), _BINS - 1) for ms in times)
    most = max(bins.values())
    parts = [
        f'<text x="{_LEFT - 8}" y="{base}" text-anchor="end">{name} ({len(times)})</text>',
        f'<text x="{_LEFT + _WIDTH + 8}" y="{base}" fill="#555">worst {max(times):.0f}</text>',
    ]
    for index, count in sorted(bins.items()):
        tall = max(1.5, (_ROW - 5) * count / most)
        x = _x(index * _SPAN_MS / _BINS)
        parts.append(
            f'<rect x="{x:.1f}" y="{base - tall:.1f}" width="{_WIDTH / _BINS - 1:.1f}" '
            f'height="{tall:.1f}" fill="#36c"/>'
        )
    return parts


def _x(ms: float) -> float:
    return _LEFT + _WIDTH * ms / _SPAN_MS


def _groups(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    names = list(dict.fromkeys(one.fault for one in results))
    alone = sorted(name for name in names if " + " not in name)
    pairs = sorted(name for name in names if " + " in name)
    return [(name, [one for one in results if one.fault == name]) for name in [*alone, *pairs]]


def _times(group: Sequence[Result]) -> list[float]:
    return [one.ms for one in group if one.ms is not None]


def _row(name: str, group: Sequence[Result]) -> str:
    times = _times(group)
    shares = (0.5, 0.99, 1.0)
    told = [f"{percentile(times, one):.0f}" for one in shares] if times else ["-"] * 3
    layers = _counted(one.layer for one in group)
    bad = sum(one.verdict != "ok" for one in group)
    cells = [name, str(len(group)), *told, layers or "goes on", _counted(o.readback for o in group)]
    return f"| {' | '.join(cells)} | {bad or ''} |"


def _kind(fault: str) -> str:
    return next((kind for kind, words in _KINDS if any(w in fault for w in words)), "others")


def _line(kind: str, group: Sequence[Result]) -> str:
    times = _times(group)
    told = [f"{percentile(times, share):.0f}" for share in (0.5, 0.99, 1.0)] if times else ["-"] * 3
    bad = sum(one.verdict != "ok" or one.ms is None for one in group)
    return f"| {' | '.join([kind, str(len(group)), *told, str(bad)])} |"


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {n}" for word, n in Counter(filter(None, words)).most_common())
