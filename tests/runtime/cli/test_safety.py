"""`olympus stop` reaches a real guardian, at once; `reset` is deliberate."""

from __future__ import annotations

import json
import os
import pty
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.runtime.cli import safety

Olympus = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.e2e


OLYMPUS = Path(sys.executable).parent / "olympus"


def environment(run_root: Path) -> dict[str, str]:
    return {**os.environ, "XDG_RUNTIME_DIR": str(run_root)}


def state(olympus: Olympus) -> str:
    return str(json.loads(olympus("status", "--json").stdout)["state"])


def test_a_reset_permits_and_a_stop_latches_until_the_next_reset(olympus: Olympus) -> None:
    assert olympus("reset").returncode == 0
    assert state(olympus) == "PERMITTED"
    stopped = olympus("stop", "--json", "the", "cat", "is", "in", "the", "way")
    assert json.loads(stopped.stdout)["command"] == "stop"
    assert state(olympus) == "TRIPPED"
    assert "the cat is in the way" in olympus("status").stdout
    assert olympus("reset").returncode == 0
    assert state(olympus) == "PERMITTED"


def test_a_stop_without_a_gate_to_read_back_is_uncertain_and_says_so(olympus: Olympus) -> None:
    result = olympus("stop")
    assert result.returncode == 7
    assert "UNCERTAIN" in result.stdout


def test_a_kill_is_lifted_at_a_terminal_only(olympus: Olympus, run_root: Path) -> None:
    assert "latched" in olympus("stop", "--kill", "smoke").stdout
    assert state(olympus) == "KILLED"
    refused = subprocess.run(
        [str(OLYMPUS), "reset"],
        env=environment(run_root),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # as a service or a page's server is: without a terminal
    )
    assert "at a terminal" in refused.stdout
    assert state(olympus) == "KILLED"
    time.sleep(0.25)  # sooner it would count as the same press
    pid, leader = pty.fork()
    if pid == 0:
        os.execve(OLYMPUS, [str(OLYMPUS), "reset"], environment(run_root))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(leader)
    assert code == 0
    assert state(olympus) == "PERMITTED"


def test_status_names_heartbeats(olympus: Olympus) -> None:
    assert "heartbeat   bench:" in olympus("status").stdout


def test_a_wrong_session_is_an_error_that_names_the_right_one(olympus: Olympus) -> None:
    result = olympus("stop", "--session", "bensh")
    assert result.returncode == 2
    assert "did you mean 'bench'?" in result.stderr


def test_a_stop_loads_no_library() -> None:
    code = (
        "import sys; from olympus.runtime.cli import safety; "
        "print([n for n in ('numpy', 'zenoh', 'pydantic', 'typer', 'asyncio') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_stop_is_quick(olympus: Olympus) -> None:
    took_s = []
    for _ in range(3):
        began = time.monotonic()
        olympus("stop")
        took_s.append(time.monotonic() - began)
    assert min(took_s) < 3.0  # 0.1 s on an idle machine


def test_a_dead_launcher_s_session_is_not_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    folder = tmp_path / "olympus" / "old"
    folder.mkdir(parents=True)
    known = {"name": "old", "pid": gone.pid, "run_dir": str(folder)}
    (folder / "session.json").write_text(json.dumps(known))
    (tmp_path / "olympus" / "half").mkdir()
    (tmp_path / "olympus" / "half" / "session.json").write_text('{"name"')
    assert not {"old", "half"} & {one.name for one in safety.running()}


def test_any_key_at_the_console_stops_and_r_permits(olympus: Olympus, run_root: Path) -> None:
    time.sleep(0.25)
    pid, leader = pty.fork()
    if pid == 0:
        os.execve(OLYMPUS, [str(OLYMPUS), "console"], environment(run_root))
    seen = b""
    try:
        for key, state_then in ((b"r", "PERMITTED"), (b" ", "TRIPPED"), (b"k", "KILLED")):
            seen = until_heard(leader, b"for ")
            os.write(leader, key)
            until_state(olympus, state_then)
        time.sleep(0.25)
        os.write(leader, b"r")
        until_state(olympus, "PERMITTED")
        os.write(leader, b"x")
        until_state(olympus, "TRIPPED")
        os.write(leader, b"q")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(leader)
    assert seen


def test_a_console_without_a_terminal_is_refused(olympus: Olympus) -> None:
    result = olympus("console")
    assert result.returncode == 2
    assert "needs a terminal" in result.stderr


def until_heard(leader: int, what: bytes) -> bytes:
    heard, until = b"", time.monotonic() + 20
    while what not in heard:
        assert time.monotonic() < until, heard
        heard += os.read(leader, 4096)
    return heard


def until_state(olympus: Olympus, wanted: str) -> None:
    until = time.monotonic() + 20
    while state(olympus) != wanted:
        assert time.monotonic() < until, state(olympus)


def test_a_stop_goes_before_other_work_where_that_is_granted() -> None:
    code = (
        "import os, sys; sys.argv = ['olympus', 'stop', '--session', 'none']\n"
        "from olympus.runtime.cli.main import PRIORITY, main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    got = os.sched_getparam(0).sched_priority\n"
        "print(os.sched_getscheduler(0), got)\n"
        "try:\n    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))\n"
        "except OSError:\n    print('not granted')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    is_granted = "not granted" not in done.stdout
    assert (f"{os.SCHED_FIFO} 40" in done.stdout) is is_granted


def test_no_slip_of_the_hand_holds_back_a_stop(olympus: Olympus) -> None:
    assert olympus("reset").returncode == 0
    slipped = olympus("stop", "--cause", "fire")
    assert "--cause is no option of stop; stopping all the same" in slipped.stderr
    assert state(olympus) == "TRIPPED"
    assert "--cause" in olympus("status").stdout
    refused = olympus("reset", "--cause", "fire")
    assert refused.returncode == 2
    assert "unrecognized arguments" in refused.stderr
    assert state(olympus) == "TRIPPED"


def test_a_robot_that_does_not_answer_does_not_hold_back_the_stop_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    heard: dict[str, float] = {}
    boxes = {name: guardian_in(tmp_path, name) for name in ("a", "b")}
    for name, box in boxes.items():

        def listen(name: str = name, box: socket.socket = box) -> None:
            box.recv(2048)  # and no answer
            heard[name] = time.monotonic()

        threading.Thread(target=listen, daemon=True).start()
    assert safety.run(["stop"]) == 7
    for box in boxes.values():
        box.close()
    assert abs(heard["a"] - heard["b"]) < 0.45  # one after the other is 0.5 s at least


def guardian_in(root: Path, name: str) -> socket.socket:
    """Return the socket of a guardian that only listens."""
    folder = root / "olympus" / name
    (folder / "safety").mkdir(parents=True)
    known = {"name": name, "pid": os.getpid(), "run_dir": str(folder)}
    (folder / "session.json").write_text(json.dumps(known))
    box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    box.bind(str(folder / "safety" / "guardian.sock"))
    return box


def test_a_session_that_somebody_else_left_where_all_may_write_is_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    theirs = tmp_path / "theirs"
    (theirs / "lure").mkdir(parents=True)
    known = {"name": "lure", "pid": os.getpid(), "run_dir": str(theirs / "lure")}
    (theirs / "lure" / "session.json").write_text(json.dumps(known))
    root = tmp_path / f"olympus-{os.getuid()}"
    root.symlink_to(theirs)
    assert "lure" in {one.name for one in safety.running()}
    if os.getuid() != 0:
        pytest.skip("only root can give a link to somebody else")
    os.lchown(root, 65534, 65534)
    assert "lure" not in {one.name for one in safety.running()}


@pytest.mark.parametrize("name", safety.EXAMPLES)
def test_the_help_shows_examples_that_are_understood(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        safety.run([name, "--help"])
    assert end.value.code == 0
    _, _, shown = capsys.readouterr().out.partition("For example:\n")
    lines = shown.splitlines()
    assert len(lines) == len(safety.EXAMPLES[name]) > 0
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "olympus"
        assert safety.parser().parse_args(words).command == name
