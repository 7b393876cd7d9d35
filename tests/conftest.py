"""The same examples in every run: no test passes or fails by luck. And two lanes, with `-n 2`.

`--hypothesis-profile=explore` looks for new ones, with a seed that it prints.

Tests that start real processes spend half of their time waiting for them. With `-n 2` one worker
runs those, one after the other as ever. The other one runs meanwhile what `BESIDE` names, and then,
when the first has come to those that time a motor or a stop, what `IN_IDLE_TIME` names: at a
priority at which it has only what nobody else wants of a processor.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True, max_examples=1000)
settings.load_profile("steady")

# A shell has what it starts in the background ignore SIGINT, and every child inherits that; some
# tests press Ctrl-C on a child of theirs. What is not ignored here is at its default there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BESIDE = (
    "tests/browser/test_replay_browser",
    "tests/e2e/test_recorded_for_ros",
    "tests/fuzz/",
    "tests/models/planner/",
    "tests/models/test_cli",
    "tests/models/test_energy",
    "tests/models/test_llama",
    "tests/models/test_manifest",
    "tests/models/test_onnx",
    "tests/models/test_person_obstacle",
    "tests/models/test_sound_events",
    "tests/models/training/",
    "tests/nodes/test_fusion",
    "tests/nodes/test_listener",
    "tests/nodes/test_viewer",
    "tests/runtime/bus/ros2/test_bridge_process",
    "tests/runtime/bus/ros2/test_cdr",
    "tests/runtime/bus/ros2/test_commands",
    "tests/runtime/bus/ros2/test_definitions",
    "tests/runtime/bus/ros2/test_graph",
    "tests/runtime/bus/ros2/test_mapping",
    "tests/runtime/bus/ros2/test_nav2_process",
    "tests/runtime/cli/test_app",
    "tests/runtime/cli/test_bag",
    "tests/runtime/cli/test_deadletters",
    "tests/runtime/cli/test_follow",
    "tests/runtime/cli/test_node_and_param",
    "tests/runtime/cli/test_record",
    "tests/runtime/cli/test_store",
    "tests/runtime/cli/test_topic",
    "tests/runtime/launch/test_launch_refused",
    "tests/runtime/messages/",
    "tests/runtime/quick/",
    "tests/runtime/replay/",
    "tests/runtime/store/test_mcap",
    "tests/runtime/store/test_pages",
    "tests/sim/test_camera",
    "tests/sim/test_sounds",
    "tests/sim/test_world.py",
    "tests/test_",
)
"""How the names begin of tests that may run beside another one. They compute, or they wait for
processes that nothing hurries: none of them times anything or commands a motor in real time."""
IN_IDLE_TIME = (
    "tests/golden/",
    "tests/runtime/scheduler/test_analysis",
    "tests/runtime/scheduler/test_choice",
    "tests/runtime/scheduler/test_simulation",
    "tests/sim/test_patrol_in_virtual_time",
    "tests/sim/test_people",
)
"""How the names begin of those that compute, for minutes, and wait for nobody."""
LAST = tuple(
    f"tests/{room}/"
    for room in ("browser", "drivers", "e2e", "faults", "hardware", "nodes", "runtime/node",
                 "runtime/safety", "runtime/scheduler")
)  # fmt: skip
"""How the names begin of the others that time most: they run when the rest has."""
FIRST, ALONE = "gw0", "alone"
"""The worker that runs all others, one after the other, and what is its share."""
GIVING_WAY = 10
"""How much nicer the other workers are."""


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Gives the first worker what must run alone among its like, and the others file by file."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(BESIDE + IN_IDLE_TIME) else ALONE

    def _assign_work_unit(self, node: WorkerController) -> None:
        others = sorted((one for one in self.workqueue if one != ALONE), key=_is_for_idle_time)
        is_first = node.gateway.id == FIRST and ALONE in self.workqueue
        chosen = ALONE if is_first else next(iter(others), ALONE)
        self.workqueue.move_to_end(chosen, last=False)
        unit = self.workqueue[chosen]
        self.workqueue[chosen] = {name: unit[name] for name in sorted(unit, key=_is_late)}
        super()._assign_work_unit(node)


def _is_late(nodeid: str) -> bool:
    return nodeid.startswith(LAST)


def _is_for_idle_time(nodeid: str) -> bool:
    return nodeid.startswith(IN_IDLE_TIME)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes | None:
    named = BESIDE + IN_IDLE_TIME
    if lost := [name for name in named if not list(config.rootpath.glob(f"{name}*"))]:
        raise pytest.UsageError(f"tests/conftest.py: no test is named {', '.join(lost)}")
    return Lanes(config, log) if config.getoption("dist") == "load" else None


def pytest_configure() -> None:
    if _is_beside():
        os.nice(GIVING_WAY)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if _is_beside() and _is_for_idle_time(item.nodeid):
        with contextlib.suppress(PermissionError):  # a container may refuse; it is nicer as it is
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _is_beside() -> bool:
    return os.environ.get("PYTEST_XDIST_WORKER", FIRST) != FIRST


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was logged comes to the first process as text, whatever it holds."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture
def open_files() -> Callable[[Path], list[Path]]:
    """Tells what this process has open of a folder: elsewhere others may close what is theirs."""

    def found(folder: Path) -> list[Path]:
        links = []
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # closed since
                links.append(entry.readlink())
        return sorted(link for link in links if link.is_relative_to(folder))

    return found


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for sessions: the name of a socket has at most 107 bytes, and pytest's are long."""
    root = Path(tempfile.mkdtemp(prefix="oly-"))
    yield root
    shutil.rmtree(root)
