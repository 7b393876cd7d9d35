"""A consumer of recorded messages, in processes of their own, that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from olympus.runtime.cli.connect import INTERRUPTED
from olympus.runtime.config import Session
from olympus.runtime.node.spec import HostSpec, NodeSpec
from olympus.runtime.store import StreamStore

Olympus = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
COMMAND = Path(sys.executable).parent / "olympus"
TOPIC = "rover/count"


class Recording:
    """A host with a recorder, a store, and who follows it."""

    def __init__(self, session: Session, folder: Path) -> None:
        self._session, self.folder, self._restarts = session, folder, 0
        self._environment = {**os.environ, "XDG_RUNTIME_DIR": str(session.run_dir.parents[1])}
        self.processes: list[subprocess.Popen[bytes]] = []
        self._ends: list[TextIO] = []
        self.start()

    def start(self) -> None:
        """Start the recorder, as the launcher does after a crash, and wait until it records."""
        reading, writing = os.pipe()
        params = {"path": str(self.folder), "topics": [TOPIC], "flush_hz": 10.0}
        node = NodeSpec(name="recorder", uses="olympus.nodes.recorder", params=params)
        spec = HostSpec(
            session=self._session,
            name="recording",
            nodes=[node],
            status_fd=writing,
            restarts=self._restarts,
        )
        file = self.folder.parent / f"recording{self._restarts}.json"
        file.write_text(spec.model_dump_json())
        command = [sys.executable, "-m", "olympus.runtime.node.host", str(file)]
        self.recorder = subprocess.Popen(command, env=self._environment, pass_fds=[writing])
        self.processes.append(self.recorder)
        self._restarts += 1
        os.close(writing)
        status = os.fdopen(reading)
        self._ends.append(status)
        assert "ready" in (json.loads(line)["event"] for line in status)

    def follow(self, out: Path) -> subprocess.Popen[bytes]:
        """Begin to follow, as a script does."""
        with out.open("ab") as stream, out.with_suffix(".err").open("ab") as errors:
            line = [str(COMMAND), "store", "follow", TOPIC, "--as", "mapper"]
            line += ["--store", str(self.folder), "--session", self._session.name]
            process = subprocess.Popen(line, env=self._environment, stdout=stream, stderr=errors)
        self.processes.append(process)
        return process

    def end(self) -> None:
        """End all processes of ours that are still there."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(60)
        for end in self._ends:
            end.close()

    def stop(self) -> None:
        """End the recording as the launcher does."""
        self.recorder.terminate()
        self.recorder.wait(60)

    def recorded(self) -> list[int]:
        with StreamStore(self.folder, read_only=True) as store:
            return [record.seq for record in store.records(TOPIC)]


@pytest.fixture
def recording(session: Session, tmp_path: Path) -> Iterator[Recording]:
    one = Recording(session, tmp_path / "store")
    yield one
    one.end()


def numbers(out: Path) -> list[int]:
    """Return the numbers of the messages that were printed."""
    lines = out.read_text().splitlines(keepends=True) if out.exists() else []
    return [int(json.loads(line)["header"]["seq"]) for line in lines if line.endswith("\n")]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 100  # a busy machine takes long to start a process
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_a_killed_consumer_and_a_killed_recorder_cost_no_message(
    recording: Recording, olympus: Olympus, tmp_path: Path
) -> None:
    def state() -> tuple[int, int]:
        """Return how much is unread, and the number of the last message acknowledged."""
        told = olympus("store", "consumers", str(recording.folder), "--json")
        assert told.returncode == 0, told.stderr
        (row,) = json.loads(told.stdout)
        assert row["consumer"] == "mapper"
        ends = [int(end["key"][16:32], 16) for end in row["ends"]]
        return int(row["unread"]), max(ends, default=0)

    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"
    follower = recording.follow(first)
    until(lambda: len(numbers(first)) > 30, "it follows what is being recorded")
    until(lambda: state()[1] > 0, "it acknowledges")
    follower.kill()
    follower.wait()
    acknowledged = state()[1]
    seen = len(numbers(first))
    until(lambda: len(recording.recorded()) > seen + 20, "the recording goes on")

    follower = recording.follow(second)
    until(lambda: len(numbers(second)) > 20, "it catches up")
    assert numbers(second)[0] == acknowledged + 1

    follower.send_signal(signal.SIGINT)
    assert follower.wait(60) == INTERRUPTED
    assert state()[1] == numbers(second)[-1]
    follower = recording.follow(third)

    recording.recorder.kill()
    recording.recorder.wait()
    recording.start()
    held = len(recording.recorded())
    until(lambda: len(recording.recorded()) > held + 30, "another recorder goes on")
    recording.stop()
    everything = recording.recorded()
    until(lambda: numbers(third)[-1] == everything[-1], "it reads to the end")
    until(lambda: state()[0] == 0, "it acknowledges without a recorder too")
    follower.terminate()
    follower.wait(60)
    later = [*numbers(second), *numbers(third)]
    assert later == sorted(set(later))  # in order, and none twice without a crash
    assert sorted({*numbers(first), *later}) == everything
    assert f"missing: {TOPIC}" in third.with_suffix(".err").read_text()  # while none recorded


def test_a_consumer_is_forgotten_while_it_is_recorded(
    recording: Recording, olympus: Olympus, tmp_path: Path
) -> None:
    place = ("--store", str(recording.folder))
    done = olympus("store", "follow", TOPIC, "--as", "once", *place, "--once")
    assert done.returncode == 0, done.stderr
    shown = olympus("store", "consumers", str(recording.folder)).stdout
    assert "once" in shown
    done = olympus("store", "consumers", str(recording.folder), "--remove", "twice")
    assert "known: once" in done.stderr
    done = olympus("store", "consumers", str(recording.folder), "--remove", "once")
    assert done.returncode == 0, done.stderr
    shown = olympus("store", "consumers", str(recording.folder), "--json").stdout
    assert json.loads(shown) == []
