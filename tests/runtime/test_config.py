import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from olympus.runtime.config import Session, find_session, new_session, run_root
from olympus.runtime.errors import ConfigError
from olympus.runtime.safety.protocol import SOCKET


@pytest.fixture
def tmp_path(short_path: Path) -> Path:
    return short_path


@pytest.fixture(autouse=True)
def _own_run_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_a_session_is_found_by_name_and_when_it_is_the_only_one() -> None:
    made = new_session("patrol")
    assert find_session() == find_session("patrol") == made
    assert made.run_dir.stat().st_mode & 0o077 == 0


def test_without_a_session_the_error_says_how_to_start_one() -> None:
    with pytest.raises(ConfigError, match="olympus launch"):
        find_session()


def test_a_wrong_name_is_answered_with_the_right_one() -> None:
    new_session("patrol")
    with pytest.raises(ConfigError, match="did you mean 'patrol'"):
        find_session("patro")


def test_two_sessions_need_a_name() -> None:
    new_session("one")
    new_session("two")
    with pytest.raises(ConfigError, match="--session"):
        find_session()


def test_a_running_session_can_not_be_started_again() -> None:
    new_session("patrol")
    with pytest.raises(ConfigError, match="running already"):
        new_session("patrol")


def test_what_a_dead_process_left_is_taken_over() -> None:
    dead = new_session("patrol").model_copy(update={"pid": 2**22 + 1})
    dead.save()
    assert new_session("patrol").is_alive


def test_a_process_that_got_the_number_of_a_dead_one_is_not_the_session() -> None:
    made = new_session("patrol")
    reused = made.model_copy(update={"pid_started": made.pid_started - 100})
    reused.save()
    assert not reused.is_alive
    assert new_session("patrol").is_alive


def test_a_killed_launcher_that_nobody_waited_for_is_not_alive() -> None:
    launcher = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    session = new_session("patrol").model_copy(update={"pid": launcher.pid, "pid_started": 0})
    assert session.is_alive
    launcher.kill()
    os.waitid(os.P_PID, launcher.pid, os.WEXITED | os.WNOWAIT)
    assert not session.is_alive
    launcher.communicate()


def test_a_damaged_session_hides_no_other_and_its_name_can_be_used() -> None:
    made = new_session("patrol")
    damaged = run_root() / "broken"
    damaged.mkdir()
    (damaged / "session.json").write_text("{")
    assert find_session() == made
    assert new_session("broken").is_alive


def test_of_two_launchers_that_want_one_name_at_once_one_gets_it() -> None:
    script = (
        "from olympus.runtime.config import new_session\n"
        "input()\n"
        "try: new_session('patrol'); print('got it', flush=True); input()\n"
        "except Exception as error: print(error)\n"
    )
    launchers = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(4)
    ]
    pipes = [(launcher.stdin, launcher.stdout) for launcher in launchers]
    for stdin, _ in pipes:
        assert stdin is not None
        stdin.write("go\n")
    said = [stdout.readline() for _, stdout in pipes if stdout is not None]
    for launcher in launchers:
        launcher.communicate("end\n")
    assert sum(line == "got it\n" for line in said) == 1
    assert sum("running already" in line for line in said) == 3


def test_a_link_of_somebody_else_is_not_followed(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make a link that belongs to somebody else")
    (tmp_path / "home").mkdir()
    (tmp_path / "olympus").symlink_to(tmp_path / "home")
    os.chown(tmp_path / "olympus", 65534, 65534, follow_symlinks=False)
    with pytest.raises(ConfigError, match="belongs to another user"):
        new_session("patrol")
    assert not any((tmp_path / "home").iterdir())


def test_an_open_run_folder_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "olympus").mkdir(mode=0o777)
    (tmp_path / "olympus").chmod(0o777)
    assert run_root().stat().st_mode & 0o777 == 0o700


def test_a_run_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "olympus").write_text("a file")
    with pytest.raises(ConfigError, match="set XDG_RUNTIME_DIR"):
        run_root()


def test_a_run_folder_that_lies_too_deep_for_a_socket_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 107 - len(os.fsencode(tmp_path)) - len(f"//olympus/patrol/safety/{SOCKET}")
    for length in (room, room + 1):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * length)))
        if length == room:
            session = new_session("patrol")
            for path in (session.safety_dir / SOCKET, session.door):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
                    one.bind(str(path))
            continue
        with pytest.raises(ConfigError, match=r"108 bytes, .* set XDG_RUNTIME_DIR to a shorter"):
            new_session("patrol")
        assert not any((tmp_path / ("x" * length) / "olympus").iterdir())


@pytest.mark.parametrize("part", ["", "logs", "safety", "hosts"])
def test_a_session_does_not_follow_links_out_of_its_folder(part: str, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", run_root() / "patrol"
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "precious").touch()
    if part:
        folder.mkdir()
    (folder / part).symlink_to(home)
    with pytest.raises(ConfigError, match="remove it, or take another --session"):
        new_session("patrol")
    assert sorted(home.rglob("*")) == [home / "logs", home / "logs" / "precious"]


def test_a_file_in_the_place_of_a_session_is_named() -> None:
    (run_root() / "patrol").touch()
    with pytest.raises(ConfigError, match=r"olympus/patrol: .*remove it"):
        new_session("patrol")


@pytest.mark.parametrize("name", ["", "a/b", "../up", "x" * 50, "-dash"])
def test_names_that_make_no_folder_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="use letters"):
        new_session(name)


def test_a_damaged_session_file_is_named(tmp_path: Path) -> None:
    folder = run_root() / "broken"
    folder.mkdir()
    (folder / "session.json").write_text("{")
    with pytest.raises(ConfigError, match="holds no session"):
        Session.load(folder)
