"""What tests of the viewer's page share: a session, its guardian, what hosts say, a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from olympus.runtime.config import Session
from olympus.runtime.messages import HostStats, NodeStats, TopicStats
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.spawn import start

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""The browser asks nobody on the network for anything."""
needs_chromium = pytest.mark.skipif(
    not CHROMIUM, reason="no chromium here; install it: apt install chromium"
)


def session_in(folder: Path) -> Session:
    """Return a session whose files lie in a folder."""
    (folder / "safety").mkdir(mode=0o700)
    return Session(name="patrol", run_dir=folder, endpoint="", clock_offset_ns=0, pid=os.getpid())


@contextmanager
def guarded(session: Session) -> Iterator[SafetyClient]:
    """Run a guardian that is content with one beat of `control` for ten seconds.

    Without priority, on a busy machine: a lease of 60 ms would be renewed too late, and trip.
    """
    settings = Settings(
        dir=session.safety_dir, watch={"control": 10.0}, lock_memory=False, lease_ms=1000
    )
    started = start(settings)
    HeartbeatWriter(session.safety_dir, "control").beat()
    try:
        yield SafetyClient(session.safety_dir)
    finally:
        started.process.terminate()
        started.process.wait(10)
        if started.process.stdout is not None:
            started.process.stdout.close()


def end_of(topic: str, role: str, node: str, *, p99: float = 0.0, **drops: int) -> TopicStats:
    """Return an end of a topic that carries 15 pictures a second."""
    return TopicStats(
        topic=topic,
        type="olympus/Image",
        role=role,
        node=node,
        count=10,
        rate_hz=15.0,
        bytes_per_s=1e6 if role == "pub" else 0.0,
        age_p50_ms=p99 / 2,
        age_p99_ms=p99,
        dropped=drops,
    )


def host_of(name: str, *topics: TopicStats, pid: int = 1, restarts: int = 0) -> HostStats:
    """Return what a host with one node says."""
    return HostStats(
        host=name,
        pid=pid,
        cpu=0.1,
        rss_mb=50.0,
        threads=5,
        uptime_s=10.0,
        restarts=restarts,
        loop_lag_ms=1.0,
        nodes=(NodeStats(name=f"rover/{name}", uses="x", state="active", errors=0),),
        topics=topics,
    )
