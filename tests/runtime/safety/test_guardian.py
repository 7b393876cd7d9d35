"""The guardian in this process: datagrams, senders, start and end."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.guardian import Guardian, main
from olympus.runtime.safety.lock import LOCK
from olympus.runtime.safety.mailbox import Mailbox
from olympus.runtime.safety.protocol import SOCKET
from olympus.runtime.safety.settings import Settings


def settings(directory: Path, **options: Any) -> Settings:
    return Settings(dir=directory, watch={"drive": 0.3}, lock_memory=False, **options)


class Caller:
    """A raw socket to a guardian."""

    def __init__(self, directory: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("")
        self.socket.settimeout(20)
        self.socket.connect(str(directory / SOCKET))

    def ask(self, raw: bytes) -> Mapping[str, Any]:
        self.socket.send(raw)
        return self.hear()

    def hear(self) -> Mapping[str, Any]:
        reply: Mapping[str, Any] = json.loads(self.socket.recv(65536))
        return reply


@pytest.fixture
def serving(safety_dir: Path) -> Iterator[Guardian]:
    guardian = Guardian(settings(safety_dir))
    thread = threading.Thread(target=guardian.serve)
    thread.start()
    yield guardian
    guardian.end("test over")
    thread.join()
    guardian.close()


@pytest.fixture
def caller(serving: Guardian, safety_dir: Path) -> Iterator[Caller]:
    one = Caller(safety_dir)
    yield one
    one.socket.close()


def test_a_bare_word_stops(caller: Caller) -> None:
    reply = caller.ask(b"stop")
    assert (reply["ok"], reply["latch"], reply["gates"]) == (True, 1, [])
    status = caller.ask(b'{"op":"status","id":3}')
    assert (status["id"], status["state"], status["cause"]) == (3, "TRIPPED", "stop")


def test_what_is_malformed_or_oversized_is_counted_and_answered(caller: Caller) -> None:
    assert "no JSON" in caller.ask(b"\x00\xff")["error"]
    assert "larger than 2048 bytes" in caller.ask(b"x" * 4096)["error"]
    assert caller.ask(b'{"op":"status"}')["counters"]["malformed"] == 2


def test_conditions_and_resets_are_answered(caller: Caller) -> None:
    assert caller.ask(b'{"op":"condition","name":"door","ok":false,"text":"open"}')["ok"]
    reply = caller.ask(b'{"op":"reset","by":"ada","latch":0}')
    assert not reply["ok"]
    assert "condition door: open" in reply["error"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can send another user's credentials")
def test_another_user_may_stop_and_nothing_else(caller: Caller) -> None:
    forged = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, _credentials(65534))
    for raw in (b'{"op":"reset","by":"x","latch":0}', b'{"op":"condition","name":"a","ok":true}'):
        caller.socket.sendmsg([raw], [forged])
        assert "may stop, but nothing else" in caller.hear()["error"]
    caller.socket.sendmsg([b"stop"], [forged])
    assert caller.hear()["ok"]
    status = caller.ask(b'{"op":"status"}')
    assert status["counters"]["refused_senders"] == 2
    assert status["trips"][0]["evidence"].startswith("asked by user 65534, process ")


def _credentials(uid: int) -> bytes:
    return b"".join(n.to_bytes(4, "little") for n in (os.getpid(), uid, uid))


def test_descriptors_that_are_sent_along_do_not_stay(
    caller: Caller, until_true: Callable[..., None]
) -> None:
    reading, writing = os.pipe()
    caller.socket.sendmsg(
        [b"stop"],
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, writing.to_bytes(4, "little"))],
    )
    assert caller.hear()["ok"]
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_passed_descriptor_is_closed(safety_dir: Path) -> None:
    safety_dir.mkdir()
    box = Mailbox(safety_dir)
    assert box.receive() is None
    # Without credentials in the way, the kernel hands the descriptor over.
    with socket.socket(fileno=os.dup(box.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    one = Caller(safety_dir)
    reading, writing = os.pipe()
    one.socket.sendmsg(
        [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, writing.to_bytes(4, "little"))]
    )
    os.close(writing)
    datagram = box.receive()
    assert datagram is not None
    assert datagram.uid is None
    assert os.read(reading, 1) == b""
    os.close(reading)
    one.socket.close()
    box.close()


def test_a_sender_that_cannot_be_answered_does_no_harm(
    serving: Guardian, safety_dir: Path, caller: Caller
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        nameless.sendto(b"x", str(safety_dir / SOCKET))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind("")
        for _ in range(200):
            deaf.sendto(b"x", str(safety_dir / SOCKET))
        status = caller.ask(b'{"op":"status"}')
    assert status["counters"]["malformed"] == 201
    assert status["unanswered"] > 0


def test_a_guardian_that_may_open_nothing_more_goes_on(
    safety_dir: Path,
    start_guardian: Callable[[Settings], spawn.Started],
    drive: Callable[[Path], Any],
    until_true: Callable[..., None],
    permit_motion: Callable[[SafetyClient], None],
) -> None:
    # A busy machine stops nothing by itself: what stops here was asked to.
    process = start_guardian(Settings(safety_dir, watch={"drive": 2.0}, lease_ms=1000)).process
    turning, client = drive(safety_dir), SafetyClient(safety_dir)
    permit_motion(client)
    until_true(lambda: turning.output > 0)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (0, 0))
    time.sleep(0.3)
    assert process.poll() is None
    assert client.status().is_permitted
    assert turning.output > 0
    assert client.stop("test").is_confirmed
    assert turning.output == 0.0


def test_a_second_guardian_is_refused(serving: Guardian, safety_dir: Path) -> None:
    with pytest.raises(SafetyError, match="another guardian keeps"):
        Guardian(settings(safety_dir))


def test_a_guardian_whose_lock_was_deleted_keeps_its_directory_all_the_same(
    serving: Guardian, safety_dir: Path, until_true: Callable[..., None]
) -> None:
    (safety_dir / LOCK).unlink()
    until_true((safety_dir / LOCK).exists)
    until_true(lambda: serving.keeper.counters["locks_remade"] == 1)
    with pytest.raises(SafetyError, match="another guardian keeps"):
        Guardian(settings(safety_dir))


def test_a_guardian_whose_directory_another_one_took_ends_and_takes_nothing_along(
    safety_dir: Path, until_true: Callable[..., None]
) -> None:
    first = Guardian(settings(safety_dir))
    (safety_dir / LOCK).unlink()
    second = Guardian(settings(safety_dir))
    first.serve()  # it ends by itself
    first.close()
    assert first.keeper.state.trips[-1].cause == f"another guardian keeps {safety_dir}"
    thread = threading.Thread(target=second.serve)
    thread.start()
    try:
        caller = Caller(safety_dir)
        assert caller.ask(b"stop")["ok"]
        caller.socket.close()
    finally:
        second.end("test over")
        thread.join()
        second.close()
    assert not (safety_dir / SOCKET).exists()


def test_a_lock_that_can_not_be_made_anew_is_tried_again(
    serving: Guardian, safety_dir: Path, until_true: Callable[..., None]
) -> None:
    safety_dir.rename(safety_dir.with_name("elsewhere"))
    looks = serving.keeper.counters["locks_remade"]
    (safety_dir.with_name("elsewhere") / LOCK).unlink()
    time.sleep(0.1)
    safety_dir.with_name("elsewhere").rename(safety_dir)
    until_true(lambda: serving.keeper.counters["locks_remade"] > looks)
    assert (safety_dir / LOCK).exists()


def _taken(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path.with_name("other")))
        path.with_name("other").rename(path)  # at once: between two steps it would be bound anew


@pytest.mark.parametrize(
    "hurt",
    [
        Path.unlink,
        lambda path: path.rename(path.with_name("elsewhere")),
        _taken,
        lambda path: path.chmod(0),
    ],
    ids=["deleted", "moved", "taken", "closed"],
)
def test_a_socket_whose_name_is_gone_is_bound_again_and_told_once(
    serving: Guardian,
    safety_dir: Path,
    until_true: Callable[..., None],
    hurt: Callable[[Path], object],
) -> None:
    hurt(safety_dir / SOCKET)
    until_true(lambda: serving.keeper.counters["sockets_remade"] == 1)
    client = SafetyClient(safety_dir)
    assert client.status().counters["sockets_remade"] == 1
    assert "the stop is latched" in client.stop("test").text
    with pytest.raises(SafetyError, match="another guardian keeps"):
        Guardian(settings(safety_dir))
    time.sleep(0.6)  # one look more: it stays the same
    assert client.status().counters["sockets_remade"] == 1
    until_true(lambda: "socket remade" in _events(safety_dir))
    assert _events(safety_dir).count("socket remade") == 1
    assert (safety_dir / SOCKET).stat().st_mode & 0o777 == 0o600


def test_who_asked_by_the_former_socket_is_answered_until_the_next_look(safety_dir: Path) -> None:
    guardian = Guardian(settings(safety_dir))
    caller, now_ns = Caller(safety_dir), time.monotonic_ns()
    caller.socket.send(b"stop")
    (safety_dir / SOCKET).unlink()
    guardian._watch_socket(now_ns)
    assert guardian.keeper.counters["sockets_remade"] == 1
    guardian._answer_until(time.monotonic_ns())
    assert caller.hear()["latch"] == 1
    guardian._watch_socket(now_ns + 1_000_000_000)
    with pytest.raises(ConnectionRefusedError):
        caller.socket.send(b"stop")
    caller.socket.close()
    guardian.close()


def test_a_socket_that_can_not_be_bound_again_is_told_once_until_it_can(
    serving: Guardian, safety_dir: Path, until_true: Callable[..., None]
) -> None:
    (safety_dir / SOCKET).unlink()
    (safety_dir / SOCKET).mkdir()
    until_true(lambda: "socket lost" in _events(safety_dir))
    time.sleep(1.1)  # two looks more
    (safety_dir / SOCKET).rmdir()
    until_true(lambda: "socket remade" in _events(safety_dir))
    assert _events(safety_dir) == ["boot", "socket lost", "socket remade"]
    assert SafetyClient(safety_dir).status().counters["sockets_remade"] == 1


def test_a_guardian_whose_directory_another_one_took_does_not_bind_its_socket(
    safety_dir: Path,
) -> None:
    first = Guardian(settings(safety_dir))
    (safety_dir / LOCK).unlink()
    second = Guardian(settings(safety_dir))
    of_second = (safety_dir / SOCKET).stat().st_ino
    first._watch_socket(time.monotonic_ns())
    first.serve()  # it ends by itself
    first.close()
    assert "socket remade" not in _events(safety_dir)
    assert (safety_dir / SOCKET).stat().st_ino == of_second
    second.close()


def _events(directory: Path) -> list[str]:
    log = directory / "events.jsonl"
    text = log.read_text() if log.exists() else ""  # a thread of the guardian's writes it
    return [json.loads(line)["event"] for line in text.splitlines()]


def test_a_path_too_long_for_a_socket_is_named(safety_dir: Path) -> None:
    with pytest.raises(SafetyError, match="use a shorter"):
        Guardian(settings(safety_dir / ("x" * 100)))


def test_an_end_with_the_parent_is_noticed(safety_dir: Path) -> None:
    guardian = Guardian(settings(safety_dir, die_with_parent=True, parent_pid=os.getpid()))
    guardian.serve()  # this process is not its own parent: it ends at the first tick
    guardian.close()
    assert guardian.keeper.state.trips[0].cause == "the launcher is gone"


@pytest.fixture
def own_signals() -> Iterator[None]:
    usual = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    yield
    for one, handler in usual.items():
        signal.signal(one, handler)
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # forget PR_SET_PDEATHSIG


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("reads", [True, False])
def test_main_serves_until_a_signal(
    safety_dir: Path, capfd: pytest.CaptureFixture[str], reads: bool
) -> None:
    safety_dir.mkdir()
    config = safety_dir / "c.json"
    config.write_text(settings(safety_dir, die_with_parent=True).to_json())
    saved = os.dup(1)
    if not reads:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
        os.close(writing)

    usual = signal.getsignal(signal.SIGTERM)

    def interrupt() -> None:
        while signal.getsignal(signal.SIGTERM) is usual:  # sooner, it would end the tests
            time.sleep(0.005)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code = main([str(config)])
    thread.join()
    os.dup2(saved, 1)
    os.close(saved)
    assert code == 0
    seen = capfd.readouterr()
    if reads:
        assert json.loads(seen.out)["state"] == "STOPPED"
    else:
        assert "nobody reads the ready line" in seen.err
    assert "guardian ended by SIGTERM" in (safety_dir / "events.jsonl").read_text()


def test_main_says_what_is_wrong(safety_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "give one argument" in capfd.readouterr().err


def test_a_late_tick_is_counted(safety_dir: Path, until_true: Callable[..., None]) -> None:
    guardian = Guardian(settings(safety_dir, period_ms=1, lease_ms=100))
    thread = threading.Thread(target=guardian.serve)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.05)
    thread.start()
    deadline = time.monotonic() + 20
    while not guardian.keeper.counters["late_ticks"] and time.monotonic() < deadline:
        pass  # keeps the interpreter from the guardian's thread
    sys.setswitchinterval(usual)
    guardian.end("test over")
    thread.join()
    guardian.close()
    assert guardian.keeper.counters["late_ticks"] > 0


def test_a_look_that_is_due_waits_for_a_few_questions_only(safety_dir: Path) -> None:
    guardian = Guardian(Settings(dir=safety_dir, watch={"drive": 0.3}))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        for _ in range(8):
            asker.sendto(b"nonsense", str(safety_dir / SOCKET))
        for answered in (4, 8, 8):
            guardian._answer_until(time.monotonic_ns())
            assert guardian.keeper.counters["malformed"] == answered
        for _ in range(8):
            asker.sendto(b"nonsense", str(safety_dir / SOCKET))
        guardian._answer_until(time.monotonic_ns() + 2_000_000_000)  # none is due: there is time
    assert guardian.keeper.counters["malformed"] == 16
    guardian.close()
