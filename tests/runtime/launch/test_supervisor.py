"""Real child processes: ready, respawned, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch import supervisor as supervising
from olympus.runtime.launch.computing import Resource
from olympus.runtime.launch.hostlog import HostLog, LogLine
from olympus.runtime.launch.process import Command, Fds, Grace, start_child
from olympus.runtime.launch.schema import Host, Respawn
from olympus.runtime.launch.supervisor import Life, Phase, Recipe, Supervisor, Witness

pytestmark = pytest.mark.e2e

READY = """
import os, signal, sys, time
status, lifeline = int(sys.argv[1]), int(sys.argv[2])
from olympus.runtime.lifeline import tie_to_parent
tie_to_parent(lifeline)
def say(text):
    os.write(status, text.encode() + b"\\n")
"""
GOOD = (
    READY
    + """
say('{"event": "state", "node": "camera", "state": "active"}')
say('{"event": "ready"}')
signal.sigwait({signal.SIGINT, signal.SIGTERM})
"""
)
STUBBORN = (
    READY
    + """
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not os.fork():
    say(f'{{"event": "state", "node": "grandchild", "state": "{os.getpid()}"}}')
    time.sleep(600)
say('{"event": "ready"}')
time.sleep(600)
"""
)
DIES_EARLY = (
    READY
    + """
sys.exit("the camera is not there; plug it in")
"""
)
DIES_WHEN_TOLD = (
    READY
    + """
say('{"event": "ready"}')
while not os.path.exists(os.path.join(sys.argv[3], "die")):
    time.sleep(0.01)
sys.exit(3)
"""
)
REFUSED = (
    READY
    + """
say('{"event": "refused", "text": "its loop stays at ordinary priority"}')
say('{"event": "ready"}')
die = os.path.join(sys.argv[3], "die")
while not os.path.exists(die):
    time.sleep(0.01)
os.unlink(die)
"""
)
TALKS = (
    READY
    + """
print('{"level": "info", "logger": "rover/camera", "text": "device opened"}', flush=True)
print("a library's own words", file=sys.stderr, flush=True)
say('{"event": "ready"}')
signal.sigwait({signal.SIGINT, signal.SIGTERM})
"""
)
CHATTERS = (
    READY
    + """
for _ in range(100):
    print("x" * 1000, flush=True)
say('{"event": "ready"}')
signal.sigwait({signal.SIGINT, signal.SIGTERM})
"""
)
NEVER_READY = (
    READY
    + """
time.sleep(600)
"""
)


class Notes(Witness):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.ends: list[tuple[str, bool]] = []
        self.warnings: list[str] = []

    def changed(self, recipe: Recipe, life: Life) -> None:
        if not self.phases or self.phases[-1] is not life.phase:
            self.phases.append(life.phase)

    def warned(self, recipe: Recipe, text: str) -> None:
        self.warnings.append(text)

    def refused(self, recipe: Recipe, text: str) -> None:
        self.warnings.append(text)

    def ended(self, recipe: Recipe, text: str, is_final: bool) -> None:
        self.ends.append((text, is_final))


class Bench:
    """Makes supervisors of scripts and ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[LogLine] = []
        self.notes = Notes()
        self.supervisors: list[Supervisor] = []

    def make(self, script: str, **settings: object) -> Supervisor:
        folder = str(self.folder)

        def command(fds: Fds, restarts: int) -> Command:
            words = [sys.executable, "-c", script, str(fds.status), str(fds.lifeline), folder]
            return Command(words)

        recipe = Recipe(
            name="camera",
            kind="host",
            command=command,
            nodes=("camera",),
            settings=Host.model_validate(settings),
        )
        log = HostLog(self.folder / "camera.jsonl", time.time_ns, self.lines.append)
        self.supervisors.append(Supervisor(recipe, log, self.notes))
        return self.supervisors[-1]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for supervisor in made.supervisors:
        supervisor.kill()
        await supervisor.stop(Grace(0.1, 0.1))


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


async def test_a_child_becomes_ready_and_ends_when_asked(bench: Bench) -> None:
    supervisor = bench.make(GOOD)
    await supervisor.start()
    assert supervisor.life.nodes == {"camera": "active"}
    assert supervisor.life.ready_s is not None
    pid = supervisor.life.pid
    assert pid is not None
    await supervisor.stop(Grace())
    assert is_gone(pid)
    assert bench.notes.phases == [Phase.STARTING, Phase.READY, Phase.STOPPED]
    assert bench.notes.ends == []


async def test_what_a_child_says_before_its_start_is_told_comes_with_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy launcher may hear a quick child first."""
    supervisor = bench.make(GOOD)

    async def slowly(*given: Any) -> Any:
        begun = await start_child(*given)
        while supervisor.life.nodes["camera"] != "active":
            await asyncio.sleep(0.001)
        return begun

    monkeypatch.setattr(supervising, "start_child", slowly)
    await supervisor.start()
    await supervisor.stop(Grace())
    assert bench.notes.phases == [Phase.STARTING, Phase.READY, Phase.STOPPED]


async def test_a_child_that_dies_while_starting_is_told_with_its_last_words(bench: Bench) -> None:
    with pytest.raises(LaunchError, match=r"'camera': ended while starting \(exit 1\)") as error:
        await bench.make(DIES_EARLY).start()
    assert "| the camera is not there; plug it in" in str(error.value)


async def test_a_child_that_is_not_ready_in_time_is_told_and_ended(bench: Bench) -> None:
    supervisor = bench.make(NEVER_READY, ready_timeout_s=0.5)
    with pytest.raises(LaunchError, match=r"not ready after 0.5 s; not active: camera"):
        await supervisor.start()
    assert supervisor.life.pid is None


async def test_a_killed_child_comes_back_and_is_counted(bench: Bench) -> None:
    supervisor = bench.make(GOOD, respawn=Respawn(delay_s=0.05))
    await supervisor.start()
    pid = supervisor.life.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: supervisor.life.restarts == 1 and supervisor.life.phase is Phase.READY)
    assert supervisor.life.pid not in (None, pid)
    assert supervisor.life.last_exit == "SIGKILL"
    assert bench.notes.ends == [("ended by itself (SIGKILL); restart 1 in 0.1 s", False)]


async def test_a_child_that_keeps_dying_is_given_up_after_the_cap(bench: Bench) -> None:
    respawn = Respawn(delay_s=0.01, max_delay_s=0.02, max_restarts=2)
    supervisor = bench.make(DIES_WHEN_TOLD, respawn=respawn)
    await supervisor.start()
    (bench.folder / "die").touch()
    await until(lambda: supervisor.life.phase is Phase.FAILED)
    assert supervisor.life.restarts == 2
    *soon, last = bench.notes.ends
    assert [is_final for _, is_final in soon] == [False, False]
    assert last == ("ended by itself (exit 3); stays down: 2 restarts within 60 s", True)


async def test_lines_of_the_child_are_kept_as_json(bench: Bench) -> None:
    supervisor = bench.make(TALKS)
    await supervisor.start()
    await until(lambda: len(bench.lines) == 2)
    assert [(line.level, line.logger, line.text) for line in bench.lines] == [
        ("info", "rover/camera", "device opened"),
        ("warning", "camera", "a library's own words"),
    ]
    file = bench.folder / "camera.jsonl"
    await until(lambda: file.read_text().count("\n") == 2)
    kept = file.read_text().splitlines()
    assert [json.loads(line)["text"] for line in kept] == ["device opened", "a library's own words"]


async def test_lines_that_a_disk_does_not_take_are_told_once_when_it_ends(bench: Bench) -> None:
    stuck = bench.folder / "camera.jsonl"
    os.mkfifo(stuck)
    reader = os.open(stuck, os.O_RDONLY | os.O_NONBLOCK)
    supervisor = bench.make(CHATTERS)
    await supervisor.start()
    await until(lambda: len(bench.lines) == 100)
    await supervisor.stop(Grace(0.1, 0.1))
    await supervisor.stop(Grace(0.1, 0.1))
    kept = os.read(reader, 65536).count(b"\n")
    lost = f"{len(bench.lines) - kept} lines of its log are lost: the disk is full, or too slow"
    assert bench.notes.warnings == [lost]
    os.close(reader)


async def test_what_the_system_refuses_is_a_warning(bench: Bench) -> None:
    supervisor = bench.make(GOOD, cpu_affinity=[4000])
    await supervisor.start()
    assert "processors here" in bench.notes.warnings[0]


async def test_cores_that_models_count_on_and_that_are_not_here_are_a_warning(bench: Bench) -> None:
    here = min(os.sched_getaffinity(0))
    cpu = Resource.model_validate({"workers": 2, "cores": [here, 4000]})
    supervisor = bench.make(GOOD, resources={"cpu": cpu})
    await supervisor.start()
    (told,) = bench.notes.warnings
    assert "resource cpu: cores [4000] are not here" in told


async def test_affinity_and_niceness_reach_the_child(bench: Bench) -> None:
    cpu = min(os.sched_getaffinity(0))
    supervisor = bench.make(GOOD, cpu_affinity=[cpu], nice=7)
    await supervisor.start()
    assert supervisor.life.pid is not None
    assert os.sched_getaffinity(supervisor.life.pid) == {cpu}
    assert os.getpriority(os.PRIO_PROCESS, supervisor.life.pid) == 7


async def test_what_limits_the_loop_of_the_launcher_is_not_handed_on(bench: Bench) -> None:
    soft, hard = before = resource.getrlimit(resource.RLIMIT_RTTIME)
    resource.setrlimit(resource.RLIMIT_RTTIME, (100_000, hard))
    try:
        supervisor = bench.make(GOOD)
        await supervisor.start()
        assert supervisor.life.pid is not None
        assert resource.prlimit(supervisor.life.pid, resource.RLIMIT_RTTIME) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == before


async def test_niceness_counts_between_sessions(bench: Bench) -> None:
    supervisor = bench.make(GOOD, nice=7)
    await supervisor.start()
    group = Path(f"/proc/{supervisor.life.pid}/autogroup")
    if group.exists():
        assert group.read_text().split()[-1:] in (["7"], [])  # nothing where none is grouped


async def test_what_a_host_was_refused_is_told_at_its_first_start_only(bench: Bench) -> None:
    supervisor = bench.make(REFUSED, respawn=Respawn(policy="always", delay_s=0.01))
    await supervisor.start()
    assert bench.notes.warnings == ["its loop stays at ordinary priority"]
    (bench.folder / "die").touch()
    await until(lambda: supervisor.life.restarts > 0 and supervisor.life.phase is Phase.READY)
    assert bench.notes.warnings == ["its loop stays at ordinary priority"]


async def test_a_stubborn_child_and_its_own_child_are_gone_in_time(bench: Bench) -> None:
    supervisor = bench.make(STUBBORN)
    await supervisor.start()
    await until(lambda: "grandchild" in supervisor.life.nodes)
    pids = [supervisor.life.pid, int(supervisor.life.nodes["grandchild"])]
    begun = time.monotonic()
    await supervisor.stop(Grace(0.3, 0.3))
    assert time.monotonic() - begun < 10.0  # by themselves they would never end
    await until(lambda: all(pid is not None and is_gone(pid) for pid in pids))
