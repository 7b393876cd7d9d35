"""The audit follows a real guardian, catches up, and can be verified by a command."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from olympus.nodes.audit import LOOK_S, UNREADABLE, Audit
from olympus.runtime.clock import SystemClock, VirtualClock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import AuditAnchor, Command, Header
from olympus.runtime.node.testing import running
from olympus.runtime.safety.events import FILE as EVENTS
from olympus.runtime.store import StreamStore
from olympus.runtime.store.audit import FILE

Until = Callable[[Callable[[], bool]], Awaitable[None]]


def places(tmp_path: Path) -> dict[str, str]:
    return {"path": str(tmp_path / "log"), "key_file": str(tmp_path / "audit.key")}


def records(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "log" / FILE).read_bytes().splitlines()]


def has_recorded(node: Audit, count: int) -> bool:
    return node.recorded == count


def olympus(*words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "olympus"), "audit", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_an_event_is_on_the_disk_after_one_look(
    session: Session, tmp_path: Path, until: Until
) -> None:
    clock = VirtualClock(start_ns=10**18)
    async with running(Audit, params=places(tmp_path), session=session, clock=clock) as bench:
        await asyncio.sleep(0)
        for number in (1, 2, 3):
            with (session.safety_dir / EVENTS).open("a") as stream:
                stream.write(json.dumps({"event": "trip", "stamp_ns": number}) + "\n")
            assert bench.node.recorded == number - 1
            clock.advance(round(LOOK_S * 1e9))
            await until(partial(has_recorded, bench.node, number))
            assert records(tmp_path)[-1]["at"] == number


async def test_what_the_guardian_and_people_did_is_signed_once_also_what_happened_meanwhile(
    guardian: Any, session: Session, robot_clock: SystemClock, tmp_path: Path, until: Until
) -> None:
    async def run(*commands: str) -> None:
        async with running(
            Audit, params=places(tmp_path), session=session, clock=robot_clock
        ) as bench:
            for text in commands:
                await bench.send("command", Command(text=text, verb="patrol"))
                await bench.send("said", Command(text="stop", verb="stop"))
            written = session.safety_dir / EVENTS
            lines = written.read_bytes().count(b"\n")
            await until(lambda: sum(bench.node._signed.values()) >= lines)
            anchor = bench.node.log_file.head
            told = await bench.receive("audit/anchor")
            assert isinstance(told, AuditAnchor)
        assert bench.crashes == []
        assert records(tmp_path)[-1]["n"] >= anchor.number

    guardian.permit()
    guardian.client.stop("a person fell", "anna")
    await run("patrol the corridor")
    await asyncio.sleep(0.3)  # a reset is a press of its own: let go for 200 ms before
    guardian.permit()  # while nobody writes the audit
    with (session.safety_dir / EVENTS).open("a") as stream:
        stream.write("{half a li\n")
        stream.write('{"event": "trip", "stamp_ns": 1, "x": NaN}\n')
        stream.write('{"event": "trip", "stamp_ns": 1, "x": "' + "x" * 2_000_000 + '"}\n')
    await run("go " * 700_000)
    found = records(tmp_path)
    seen = [one["kind"] for one in found]
    assert seen.count("permit") == 2
    asked = [one["body"]["verb"] for one in found if one["kind"] == "command"]
    assert sorted(asked) == ["patrol", "patrol", "stop", "stop"]
    assert seen.count(UNREADABLE) == 3
    (long,) = (one["body"] for one in found if one["kind"] == "command" and "SHA" in str(one))
    assert long["text"].startswith("go go") and "2100000 characters" in long["text"]
    (trip,) = (one["body"] for one in found if one["kind"] == "trip" and "fell" in str(one))
    assert (trip["cause"], trip["by"]) == ("a person fell", "anna")


async def test_another_file_of_events_is_read_from_its_top(
    session: Session, robot_clock: SystemClock, tmp_path: Path, until: Until
) -> None:
    def events(first: int, count: int) -> str:
        return "".join(f'{{"event": "trip", "stamp_ns": {first + n}}}\n' for n in range(count))

    file = session.safety_dir / EVENTS
    file.parent.mkdir(parents=True, exist_ok=True)
    for first, count in ((1, 3), (100, 2), (100, 4)):
        file.write_text(events(first, count))
        async with running(
            Audit, params=places(tmp_path), session=session, clock=robot_clock
        ) as bench:
            await until(lambda n=count: n in bench.node._signed.values())  # type: ignore[misc]
    assert [one["at"] for one in records(tmp_path)[1:]] == [1, 2, 3, 100, 101, 102, 103]


async def test_what_can_be_no_record_is_told_in_its_place_and_holds_nothing_up(
    session: Session, robot_clock: SystemClock, tmp_path: Path, until: Until
) -> None:
    file = session.safety_dir / EVENTS
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('{"event": "trip", "stamp_ns": 1, "x": 1e999}\n{"event": "x", "stamp_ns": 2}\n')
    async with running(Audit, params=places(tmp_path), session=session, clock=robot_clock) as bench:
        header = Header(source="s" * 2_000_000)  # as only a publisher of another make has
        bench.node.on_command(Command(header=header, text="go", verb="go"))
        await until(lambda: bench.node.recorded == 3)
    found = records(tmp_path)[1:]
    by_kind = {one["kind"]: one["body"] for one in found}
    assert by_kind.keys() == {UNREADABLE, "x", "command"}
    assert "inf" in by_kind[UNREADABLE]["text"] and by_kind[UNREADABLE]["line"] == 1
    assert "2000000 characters" in by_kind["command"]["from"]


@pytest.mark.e2e
async def test_anchors_of_a_log_that_was_set_aside_do_not_count_against_the_next_one(
    session: Session, robot_clock: SystemClock, tmp_path: Path, until: Until
) -> None:
    async def commands(count: int) -> AuditAnchor:
        async with running(
            Audit, params=places(tmp_path), session=session, clock=robot_clock
        ) as bench:
            for _ in range(count):
                await bench.send("command", Command(text="go", verb="go"))
            await until(lambda: bench.node.recorded == count)
            head, at_ns = bench.node.log_file.head, robot_clock.now_ns()
        return AuditAnchor(
            header=Header(stamp=at_ns, seq=at_ns), number=head.number, hash=head.hash, public=""
        )

    log = tmp_path / "log" / FILE
    for count, older in ((5, 0), (2, 1)):
        anchor = await commands(count)
        with StreamStore(log.parent) as store:  # as the recorder keeps it
            store.append([("audit/anchor", anchor)])
        told = olympus("verify", str(log), "--json")
        assert (told.returncode, json.loads(told.stdout)["older"]) == (0, older)
        log.write_bytes(log.read_bytes().replace(b'"text":"go"', b'"text":"no"'))
    aside = olympus("verify", str(log.with_suffix(".bad-1")), "--json")
    assert "its content does not fit its hash" in json.loads(aside.stdout)["problem"]


async def test_without_a_session_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="with a guardian"):
        async with running(Audit, params=places(tmp_path)):
            pass


@pytest.mark.e2e
async def test_the_command_proves_it_and_names_the_place_of_a_change(
    guardian: Any, session: Session, robot_clock: SystemClock, tmp_path: Path, until: Until
) -> None:
    guardian.permit()
    async with running(Audit, params=places(tmp_path), session=session, clock=robot_clock) as bench:
        await bench.send("command", Command(text="go", verb="go"))
        await until(lambda: bench.node.log_file.head.number >= 3)
    log = tmp_path / "log" / FILE
    printed, shown = olympus("anchor", str(log)), olympus("show", str(log))
    head = json.loads(printed.stdout)
    anchor = AuditAnchor(
        header=Header(stamp=1, seq=1), number=head["number"], hash=head["hash"], public=""
    )
    kept = tmp_path / "anchor.json"
    kept.write_text(printed.stdout)
    assert "permit" in shown.stdout and "text=go" in shown.stdout
    public = head["public"]
    whole = olympus("verify", str(log), "--key", public, "--anchor", str(kept))
    assert (whole.returncode, "records are as they were written" in whole.stdout) == (0, True)
    assert olympus("verify", str(log), "--key", "00" * 32).returncode == 1

    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    assert olympus("verify", str(log)).returncode == 0  # nothing here tells
    cut = olympus("verify", str(log), "--anchor", str(kept))
    assert (cut.returncode, "its end was cut off" in cut.stdout) == (1, True)
    with StreamStore(log.parent) as store:  # as the recorder keeps it
        store.append([("audit/anchor", anchor)])
    assert "its end was cut off" in olympus("verify", str(log)).stdout
    log.write_bytes(b"".join(lines).replace(b'"text":"go"', b'"text":"no"'))
    changed = olympus("verify", str(log), "--json")
    assert changed.returncode == 1
    assert "its content does not fit its hash" in json.loads(changed.stdout)["problem"]
