"""Real hosts with nodes that fail or hang: they end, in time, and say why."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.bus.hub import open_hub
from olympus.runtime.config import Session, new_session
from olympus.runtime.node.spec import HostSpec, NodeSpec

pytestmark = pytest.mark.e2e


@pytest.fixture
def session(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    made = new_session("host")
    with open_hub(made):
        yield made


LONG_S = 10.0
"""A host that is kept from ending never ends; one that is not may be slow on a busy machine."""


class Running:
    """A host with some of the nodes of host_nodes.py."""

    def __init__(self, session: Session, *classes: str) -> None:
        self.log = session.run_dir / "host.jsonl"
        reading, writing = os.pipe()
        spec = HostSpec(
            session=session,
            name="host",
            nodes=[NodeSpec(name=c.lower(), uses=f"host_nodes:{c}") for c in classes],
            node_dir=Path(__file__).parent,
            status_fd=writing,
            log_file=self.log,
        )
        file = session.run_dir / "host.json"
        file.write_text(spec.model_dump_json())
        command = [sys.executable, "-m", "olympus.runtime.node.host", str(file)]
        self.process = subprocess.Popen(command, pass_fds=[writing])
        os.close(writing)
        self._status = os.fdopen(reading)

    def until(self, event: str) -> dict[str, str]:
        """Read its status up to an event of that name."""
        return next(e for e in map(json.loads, self._status) if e["event"] == event)

    def deaf(self) -> None:
        """Close the reading end of its status pipe, as a launcher that has ended."""
        self._status.close()

    def end(self, number: signal.Signals | None = None) -> tuple[int, float]:
        """Send it a signal; return its exit code, and how long it took to end, s."""
        began = time.monotonic()
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(20)
        self._status.close()
        return code, time.monotonic() - began

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text()


def test_an_error_that_is_not_ours_in_configure_ends_the_host_with_a_clear_log(
    session: Session,
) -> None:
    host = Running(session, "Calm", "RaisesInConfigure")
    told = host.until("failed")["text"]
    assert told == "raisesinconfigure: on_configure failed: ZeroDivisionError: by zero"
    code, _ = host.end()
    assert code == 9
    assert "calm and shut down" in host.said()
    assert "Traceback" in host.said()


def test_an_error_in_a_constructor_is_logged_as_one_line(session: Session) -> None:
    host = Running(session, "RaisesInItsConstructor")
    code, _ = host.end()
    (line,) = [json.loads(text) for text in host.said().splitlines()]
    assert (code, line["level"], "by zero" in line["fields"]["traceback"]) == (1, "error", True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_hangs_in_configure_does_not_keep_the_host_from_ending(
    session: Session, number: signal.Signals
) -> None:
    host = Running(session, "Calm", "HangsInConfigure")
    while host.until("state") != {"event": "state", "node": "calm", "state": "active"}:
        pass
    code, took_s = host.end(number)
    assert (code, took_s < LONG_S) == (0, True)
    assert "calm and shut down" in host.said()


@pytest.mark.parametrize("bad", ["RaisesInDeactivate", "HangsInDeactivate"])
def test_a_node_that_fails_to_shut_down_does_not_keep_the_others_from_it(
    session: Session, bad: str
) -> None:
    host = Running(session, "Calm", bad)
    host.until("ready")
    _, took_s = host.end(signal.SIGTERM)
    assert took_s < LONG_S
    assert "calm and shut down" in host.said()


def test_a_host_whose_status_nobody_reads_any_more_shuts_all_its_nodes_down_quietly(
    session: Session,
) -> None:
    host = Running(session, "Calm", "Computes")
    host.until("ready")
    host.deaf()
    code, _ = host.end(signal.SIGTERM)
    assert "calm and shut down" in host.said()
    assert "Traceback" not in host.said()
    told = [line for line in host.said().splitlines() if "nobody reads this host's status" in line]
    assert (code, len(told)) == (0, 1)


def test_a_crashed_host_ends_though_a_thread_of_it_hangs(session: Session) -> None:
    host = Running(session, "CrashesWithAThreadThatHangs")
    host.until("ready")
    code, took_s = host.end()
    assert (code, took_s < LONG_S) == (1, True)
    assert "threads: MainThread, driver" in host.said()


def test_a_crash_while_other_nodes_start_ends_the_host(session: Session) -> None:
    host = Running(session, "CrashesWhileOthersStart", "HangsInConfigure")
    code, _ = host.end()
    assert code == 1


def test_a_handler_that_blocks_is_told_of(session: Session) -> None:
    host = Running(session, "Blocks")
    host.until("ready")
    deadline = time.monotonic() + 20
    while "stood still for" not in host.said() and time.monotonic() < deadline:
        time.sleep(0.1)
    host.end(signal.SIGKILL)
    lines = [json.loads(one) for one in host.said().splitlines() if "stood still for" in one]
    assert "a handler blocks" in lines[0]["text"], host.said()
    assert lines[0]["level"] == "warning"
