"""A consumer of recorded messages, in processes of their own, that are killed."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from olympus.runtime.cli.connect import INTERRUPTED
from olympus.runtime.config import Session
from olympus.runtime.errors import StoreError
from olympus.runtime.node.spec import HostSpec, NodeSpec
from olympus.runtime.store import StreamStore
from olympus.runtime.store.consumers import read_marks
from olympus.runtime.store.consuming import unread_of

Olympus = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
COMMAND = Path(sys.executable).parent / "olympus"
TOPIC = "rover/count"


class Recording:
    """A host with a recorder, a store, and who follows it."""

    def __init__(self, session: Session, folder: Path, **params: Any) -> None:
        self._session, self.folder, self._restarts = session, folder, 0
        self._params = params
        folder.parent.mkdir(exist_ok=True)
        run_root, data = session.run_dir.parents[1], folder.parents[1]
        self._environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(run_root),
            "XDG_DATA_HOME": str(data),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._ends: list[TextIO] = []
        self.start()

    def start(self) -> None:
        """Start the recorder, as the launcher does after a crash, and wait until it records."""
        reading, writing = os.pipe()
        params = {"path": str(self.folder), "topics": [TOPIC], "flush_hz": 10.0, **self._params}
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

    def follow(self, out: Path, *more: str) -> subprocess.Popen[bytes]:
        """Begin to follow, as a script does."""
        line = [str(COMMAND), "store", "follow", TOPIC, "--as", "mapper"]
        line += ["--store", str(self.folder), "--session", self._session.name, *more]
        return self.run(out, line)

    def run(self, out: Path, line: list[str]) -> subprocess.Popen[bytes]:
        """Run a command on this machine."""
        with out.open("ab") as stream, out.with_suffix(".err").open("ab") as errors:
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

    def unread(self) -> dict[str, int]:
        """Return by consumer how much it has not acknowledged."""
        with StreamStore(self.folder, read_only=True) as store:
            with store.file.view() as view:
                marks = read_marks(view)
            return {name: unread_of(store, mark) for name, mark in marks.items()}


@pytest.fixture
def recording(session: Session, tmp_path: Path) -> Iterator[Recording]:
    one = Recording(session, tmp_path / "olympus" / "patrol")
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


def until_grown(count: Callable[[], int], what: str) -> None:
    held = count()
    until(lambda: count() > held + 15, what)


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


def test_a_consumer_that_is_stopped_holds_up_nobody_and_goes_on_where_it_was(
    recording: Recording, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    follower = recording.follow(out)
    until(lambda: len(numbers(out)) > 10, "it follows what is being recorded")
    for _ in range(6):  # each at another place of its work, some while it waits for an answer
        follower.send_signal(signal.SIGSTOP)  # what Ctrl-Z comes to
        until_grown(lambda: len(recording.recorded()), "the recording goes on")
        follower.send_signal(signal.SIGCONT)
        until_grown(lambda: len(numbers(out)), "it catches up")
    recording.stop()
    everything = recording.recorded()
    until(lambda: numbers(out)[-1] == everything[-1], "it reads to the end")
    assert numbers(out) == everything  # in order, and none twice
    until(lambda: recording.unread() == {"mapper": 0}, "it acknowledges")
    assert follower.poll() is None


SCRIPT = """
import ast, asyncio, sys

async def upload(message):
    print('{"header": {"seq": %d}}' % message.header.seq, flush=True)

code = compile(sys.argv[1], "docs/store.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
asyncio.run(eval(code, {"upload": upload}))
"""


def test_the_script_of_the_documentation_follows_and_acknowledges(
    recording: Recording, tmp_path: Path
) -> None:
    page = Path(__file__).parents[3] / "docs" / "store.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    out = tmp_path / "out"
    script = recording.run(out, [sys.executable, "-c", SCRIPT, example])
    until(lambda: len(numbers(out)) > 30, "it uploads what is being recorded")
    recording.stop()
    until(lambda: recording.unread() == {"uploader": 0}, "it acknowledges")
    assert numbers(out) == recording.recorded()
    assert script.poll() is None, out.with_suffix(".err").read_text()


def test_an_encrypted_recording_is_followed_with_its_key_alone(
    session: Session, olympus: Olympus, tmp_path: Path
) -> None:
    key = str(tmp_path / "key")
    Path(key).write_text(secrets.token_hex(32))
    one = Recording(session, tmp_path / "olympus" / "secret", key=key)
    try:
        refused = one.follow(tmp_path / "refused")
        assert refused.wait(60) == StoreError.exit_code
        assert "is encrypted; give its key" in (tmp_path / "refused.err").read_text()
        out = tmp_path / "out"
        follower = one.follow(out, "--key", key)
        until(lambda: len(numbers(out)) > 30, "it follows what is being recorded")
        one.stop()
        until(lambda: one.unread() == {"mapper": 0}, "it acknowledges")
        with StreamStore(one.folder, read_only=True, key=key) as store:
            assert numbers(out) == [record.seq for record in store.records(TOPIC)]
        follower.terminate()
        follower.wait(60)
        gone = olympus("store", "consumers", str(one.folder), "--remove", "mapper", "--key", key)
        assert gone.returncode == 0, gone.stderr
        assert one.unread() == {}
    finally:
        one.end()
