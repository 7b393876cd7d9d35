"""A real running session: hub, guardian and one host, and the `olympus` command to look at it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from olympus.runtime.bus.hub import open_hub
from olympus.runtime.clock import wall_offset_ns
from olympus.runtime.config import Session
from olympus.runtime.node.spec import HostSpec, NodeSpec
from olympus.runtime.safety import spawn
from olympus.runtime.safety.settings import Settings

OLYMPUS = Path(sys.executable).parent / "olympus"
Olympus = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., None]


@pytest.fixture(scope="package")
def run_root() -> Iterator[Path]:
    """Return a run-time folder of our own; its name is short, as socket paths must be."""
    folder = Path(tempfile.mkdtemp(prefix="oly-"))
    yield folder
    shutil.rmtree(folder)


def environment(run_root: Path) -> dict[str, str]:
    nodes = str(Path(__file__).parent)
    return {**os.environ, "XDG_RUNTIME_DIR": str(run_root), "PYTHONPATH": nodes, "COLUMNS": "200"}


@pytest.fixture(scope="package")
def bare(run_root: Path) -> Olympus:
    """Return a function that calls `olympus`, whether or not a session runs."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(OLYMPUS), *arguments],
            env=environment(run_root),
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return call


@pytest.fixture(scope="package")
def session(run_root: Path) -> Iterator[Session]:
    """Run a session: a hub, a guardian, and a host with two nodes."""
    run_dir = run_root / "olympus" / "bench"
    (run_dir / "safety").mkdir(mode=0o700, parents=True)
    session = Session(
        name="bench",
        run_dir=run_dir,
        endpoint=f"unixsock-stream/{run_dir}/hub.sock",
        clock_offset_ns=wall_offset_ns(),
        pid=os.getpid(),
    )
    with open_hub(session):
        # On a busy machine a guardian without priority renews a lease of 60 ms too late, and trips.
        settings = Settings(
            dir=session.safety_dir, watch={"bench": 2.0}, lease_ms=1000, sched_fifo=20
        )
        guardian = spawn.start(settings)
        host = start_host(session, run_root)
        session.save()
        yield session
        session.file.unlink()
        for process in (host, guardian.process):
            process.terminate()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


def start_host(session: Session, run_root: Path) -> subprocess.Popen[bytes]:
    """Start the host that all tests look at, and wait until it says it is ready."""
    nodes = [
        NodeSpec(name="counter", uses="cli_nodes:Counter", namespace="rover"),
        NodeSpec(name="mission", uses="cli_nodes:Mission", namespace="rover"),
    ]
    return start_nodes(session, run_root, "bench", nodes, heartbeat="bench")


def start_nodes(
    session: Session, run_root: Path, name: str, nodes: list[NodeSpec], heartbeat: str | None = None
) -> subprocess.Popen[bytes]:
    """Start a host and wait until it says it is ready."""
    reading, writing = os.pipe()
    spec = HostSpec(session=session, name=name, nodes=nodes, heartbeat=heartbeat, status_fd=writing)
    file = session.run_dir / f"{name}.json"
    file.write_text(spec.model_dump_json())
    command = [sys.executable, "-m", "olympus.runtime.node.host", str(file)]
    process = subprocess.Popen(command, env=environment(run_root), pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as status:
        events = (json.loads(line)["event"] for line in status)
        assert "ready" in events  # reads up to it
    return process


@pytest.fixture
def another_host(session: Session, run_root: Path) -> Iterator[Start]:
    """Return a function that starts a host beside the others for the time of a test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *nodes: NodeSpec) -> None:
        started.append(start_nodes(session, run_root, name, list(nodes)))

    yield start
    for process in started:
        process.kill()
        process.wait(30)


@pytest.fixture
def olympus(bare: Olympus, session: Session) -> Olympus:
    """Return a function that calls `olympus` while the session runs."""
    return bare
