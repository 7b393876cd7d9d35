"""Whether the jobs of a launch fit a board: measured profiles, and the scheduler's own analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from olympus.runtime.errors import ConfigError, OlympusError, did_you_mean
from olympus.runtime.launch.computing import Job, tier_of
from olympus.runtime.launch.plan import LaunchPlan, PlannedNode
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.analysis import Task, Verdict, analyse
from olympus.runtime.scheduler.profile import Entry, Profile, read_profiles
from olympus.runtime.scheduler.rules import ResourceRules

GROUP = "olympus.profiles"
"""Entry points that know measured profiles of models."""
LEAST_RUNS = 100
"""A worst case of fewer runs is no worst case."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a model before it is loaded."""

    profiles: tuple[Profile, ...] = ()
    memory_mb: float | None = None
    name: str = ""
    """The model's own, where it was asked for by a path."""
    version: str = ""
    place: str = ""
    """Its folder: the same by whichever name or path it was asked for."""
    unknown: str = ""
    """Why nothing is known of it: there is none of that name."""


class Measurements(Protocol):
    """Knows models; what an entry point of `GROUP` leads to."""

    def __call__(self, model: str, folder: Path) -> Measured | None:
        """Return what is known of a model, by name or by a path relative to `folder`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One job of one node."""

    node: str
    job: Job
    resource: str
    """`host/resource`."""
    profile: Profile
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Timing:
    """What a board makes of a launch."""

    board: str
    rows: tuple[Row, ...] = ()
    loads: Mapping[str, float] = field(default_factory=dict)
    """Share of each resource that its jobs take at worst."""
    memory: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """MB of each model in each host that keeps it, by host and model, where it was measured."""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    """Why nobody knows whether CRITICAL jobs are in time: what was not measured of theirs, or of
    others that share their resource."""

    @property
    def memory_mb(self) -> float:
        """All models together, each once a host."""
        return sum(self.memory.values())

    @property
    def impossible(self) -> tuple[str, ...]:
        """Names of CRITICAL jobs that can be late: reason enough not to start."""
        return tuple(
            f"{row.node}: {row.job.model}: {row.verdict.why}"
            for row in self.rows
            if row.verdict.task.tier is Tier.CRITICAL and not row.verdict.holds
        )


def timing(
    plan: LaunchPlan,
    board: str,
    *,
    scale: float = 1.0,
    files: Sequence[Path] = (),
    kept: Mapping[str, Sequence[str]] | None = None,
) -> Timing:
    """Analyse the jobs of a launch.

    Args:
        plan: The launch.
        board: Name under which profiles were measured.
        scale: So many times slower than that board: an assumption, not a measurement.
        files: More profile files; they win over the plan's and over manifests.
        kept: Models that nodes keep in their process, by node id, as their classes say; None
            where nobody looked.

    Raises:
        ConfigError: A profile file can't be read, or a job names a resource its host has not.
    """
    found = _Timing(plan, board, scale, [*plan.profiles, *files])
    found.keep(kept or {})
    return found.done()


class _Timing:
    def __init__(self, plan: LaunchPlan, board: str, scale: float, files: Sequence[Path]) -> None:
        self._plan, self._board, self._scale = plan, board, scale
        self._read = {key: found for file in files for key, found in read_profiles(file).items()}
        self._problems: list[str] = []
        self._notes: list[str] = []
        self._memory: dict[tuple[str, str], float] = {}
        self._called: dict[tuple[str, str], str] = {}  # what a host's model was called first
        self._unmeasured: list[tuple[str, str]] = []
        """Where a job runs that nobody has measured, and what is to be said of it."""
        self._urgent: set[str] = set()
        """Resources that have CRITICAL jobs."""

    def keep(self, models: Mapping[str, Sequence[str]]) -> None:
        """Count the memory of models that nodes keep, and tell those that no job stands for."""
        folder = self._plan.file.parent
        computed = {
            (node.host, _which(job.model, measured(job.model, folder)))
            for node in self._plan.nodes.values()
            for job in node.jobs
        }
        for id_, names in models.items():
            host = self._plan.nodes[id_].host
            for name in names:
                known = measured(name, folder)
                self._count(host, name, known)
                if (host, _which(name, known)) not in computed:
                    self._notes.append(
                        f"{id_} keeps {name}, but no job of host {host} says how often it runs: "
                        "the table leaves it out"
                    )

        self._unmeasured += [(where, why) for where, why in self._misplaced(models)]
        self._problems += [why for _, why in self._misplaced(models)]

    def _misplaced(self, kept: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """Return jobs that count at a node which has another keep the model, and what to say."""
        folder, keepers = self._plan.file.parent, dict[str, str]()
        for id_, names in kept.items():
            keepers |= {_which(name, measured(name, folder)): id_ for name in names}
        found = []
        for node in self._plan.nodes.values():
            own = {_which(name, measured(name, folder)) for name in kept.get(node.id, ())}
            for job in node.jobs:
                model = _which(job.model, measured(job.model, folder))
                keeper = keepers.get(model, node.id)
                if model in own or self._plan.nodes[keeper].host == node.host:
                    continue
                where = f"{node.host}/{job.resource or next(iter(self._rules(node.host)))}"
                why = (
                    f"{node.id}: its job of {job.model} counts on {where}, but {keeper} keeps that "
                    f"model in host {self._plan.nodes[keeper].host}; write the job there"
                )
                found.append((where, why))
        return found

    def done(self) -> Timing:
        """Return everything."""
        rows: list[Row] = []
        loads: dict[str, float] = {}
        for (host, name), jobs in self._by_resource().items():
            rules = self._rules(host)[name]
            tasks = [task for _, _, task, _ in jobs]
            verdicts = {id(verdict.task): verdict for verdict in analyse(tasks, rules)}
            where = f"{host}/{name}"
            loads[where] = sum(task.load for task in tasks) / rules.workers
            for node, job, task, profile in jobs:
                rows.append(Row(node.id, job, where, profile, verdicts[id(task)]))
        late = [f"{r.node}: {r.job.model}: {r.verdict.why}" for r in rows if not r.verdict.holds]
        torn = self._torn_cores(loads)
        return Timing(
            self._board,
            tuple(rows),
            loads,
            self._memory,
            (*self._problems, *late, *torn),
            (*self._notes, *self._shared_cores(), *self._without_cores(loads)),
            (*(why for where, why in self._unmeasured if where in self._urgent), *torn),
        )

    def _by_resource(
        self,
    ) -> dict[tuple[str, str], list[tuple[PlannedNode, Job, Task, Profile]]]:
        found: dict[tuple[str, str], list[tuple[PlannedNode, Job, Task, Profile]]] = {}
        for node in self._plan.nodes.values():
            for job in node.jobs:
                rules = self._rules(node.host)
                name = job.resource or next(iter(rules))
                if name not in rules:
                    hint = did_you_mean(name, rules)
                    raise ConfigError(f"{node.where}: host {node.host} has no {name!r}; {hint}")
                where, told = f"{node.host}/{name}", len(self._problems)
                if tier_of(job.tier) is Tier.CRITICAL:
                    self._urgent.add(where)
                profile = self._profile(node, job)
                self._unmeasured += [(where, why) for why in self._problems[told:]]
                if profile is not None:
                    task = _task(node, job, profile)
                    found.setdefault((node.host, name), []).append((node, job, task, profile))
        return found

    def _rules(self, host: str) -> dict[str, ResourceRules]:
        written = self._plan.hosts[host].settings.resources
        return {name: one.rules(name) for name, one in written.items()} or {"cpu": ResourceRules()}

    def _profile(self, node: PlannedNode, job: Job) -> Profile | None:
        known = measured(job.model, self._plan.file.parent)
        self._count(node.host, job.model, known)
        by_board = {profile.board: profile for profile in known.profiles}
        old = ""
        for (model, board), entry in self._read.items():
            if model not in (job.model, known.name):
                continue
            if not _is_of(entry, known):
                old = f"; its profile is of version {entry.version}, used here is {known.version}"
                continue
            by_board[board] = entry.piece(board)
        profile = by_board.get(self._board)
        if profile is None:
            others = ", ".join(sorted(by_board)) or "none"
            unmeasured = (
                f"{job.model} was not measured on {self._board!r}, only on: {others}{old}; run "
                "`olympus models bench` there and name its file under `profiles`, or take another "
                "board with --scale"
            )
            why = unmeasured if by_board or not known.unknown else known.unknown
            self._problems.append(f"{node.id}: {why}")
            return None
        if profile.is_step and job.steps is None:
            self._problems.append(
                f"{node.id}: {job.model} answers in many steps; give its job `steps: N`, how many "
                "an answer may take at most"
            )
            return None
        if profile.n < LEAST_RUNS:
            self._notes.append(f"{job.model}: its worst time is the worst of only {profile.n} runs")
        return profile if self._scale == 1.0 else profile.scaled(self._scale)

    def _count(self, host: str, model: str, known: Measured) -> None:
        """Note a model's memory, once by whatever it is called, or that nobody measured it."""
        model = self._called.setdefault((host, _which(model, known)), model)
        read = (self._read.get((name, self._board)) for name in (model, known.name))
        found = [e.memory_mb for e in read if e and e.memory_mb and _is_of(e, known)]
        note = f"{model}: its memory was not measured: the sum lacks it"
        if found or known.memory_mb is not None:
            self._memory[host, model] = found[0] if found else known.memory_mb or 0.0
        elif note not in self._notes:
            self._notes.append(note)

    def _shared_cores(self) -> list[str]:
        """Say which processors several resources count on: the analysis takes each for its own."""
        return [
            f"core {core} is shared by {', '.join(names)}; their answers hold only if it is not"
            for core, names in self._users()
        ]

    def _torn_cores(self, loads: Mapping[str, float]) -> list[str]:
        """Say where a CRITICAL job counts on a processor on which other resources compute too."""
        return [
            f"core {core} is shared by {', '.join(busy)}, between which the kernel decides: "
            "nothing can be promised to a CRITICAL job there; give its resource a core of its own"
            for core, names in self._users()
            if len(busy := [name for name in names if name in loads]) > 1
            and self._urgent.intersection(busy)
        ]

    def _users(self) -> list[tuple[int, list[str]]]:
        """Return the processors that several resources name, and those."""
        users: dict[int, list[str]] = {}
        for host in self._plan.hosts.values():
            for name, one in host.settings.resources.items():
                for core in sorted(set(one.cores)):
                    users.setdefault(core, []).append(f"{host.name}/{name}")
        return [(core, names) for core, names in sorted(users.items()) if len(names) > 1]

    def _without_cores(self, loads: Mapping[str, float]) -> list[str]:
        """Say which resources with jobs may run on whatever processor the others run on."""
        used = {
            f"{host}/{name}": rules
            for host in self._plan.hosts
            for name, rules in self._rules(host).items()
            if f"{host}/{name}" in loads
        }
        free = [where for where, rules in used.items() if not rules.cores]
        if sum(rules.workers for rules in used.values()) < 2 or not free:
            return []
        return [
            f"without `cores`: {', '.join(free)}; the answers hold only while each of their "
            "workers finds a processor that is free"
        ]


def _task(node: PlannedNode, job: Job, profile: Profile) -> Task:
    period_ns = round(1e9 / job.rate_hz)
    return Task(
        name=f"{node.id}: {job.model}",
        tier=tier_of(job.tier),
        period_ns=period_ns,
        deadline_ns=period_ns if job.deadline_ms is None else round(job.deadline_ms * 1e6),
        cost_ns=profile.worst_ns * (job.steps or 1),
        piece_ns=profile.worst_ns,
    )


def _is_of(entry: Entry, known: Measured) -> bool:
    """Tell whether an entry of a profile file is of the version that would run."""
    return not (entry.version and known.version) or entry.version == known.version


def _which(model: str, known: Measured) -> str:
    """Return what tells a model from others, whatever it is called."""
    return known.place or model


@cache
def _sources() -> tuple[Measurements, ...]:
    return tuple(point.load() for point in entry_points(group=GROUP))


def measured(model: str, folder: Path) -> Measured:
    """Ask all who know models; nothing is known of one that is nowhere."""
    unknown = ""
    for ask in _sources():
        try:
            found = ask(model, folder)
        except OlympusError as error:  # no such model there, or not to be read: another may know it
            unknown = str(error)
            continue
        if found is not None:
            return found
    return Measured(unknown=unknown)
