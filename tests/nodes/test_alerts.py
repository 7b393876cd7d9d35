"""Alerts: after the stop, by webhook, MQTT, sound and light; a dead way delays nothing."""

from __future__ import annotations

import asyncio
import json
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import aiomqtt
import numpy as np
import pytest

from olympus.drivers.backoff import Backoff
from olympus.drivers.broker_process import BrokerProcess
from olympus.nodes.alert_outbox import Outbox
from olympus.nodes.alert_ways import (
    RATE_HZ,
    Alert,
    Light,
    LightSettings,
    RefusedError,
    Sound,
    SoundSettings,
    Webhook,
    WebhookSettings,
    tone,
)
from olympus.nodes.alerts import Alerts
from olympus.nodes.guardian_events import GuardianEvents
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.messages import Diagnostic
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.settings import Settings

QUICK = {"retry_first_s": 0.05, "retry_most_s": 0.1}
ALERT: Alert = {"event": "trip", "cause": "test"}


class Page:
    """A web page that takes alerts: a process, as a real one would be."""

    def __init__(self, *words: str) -> None:
        script = str(Path(__file__).with_name("alert_page.py"))
        self._process = subprocess.Popen(
            [sys.executable, script, *words], stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self._lines.get(timeout=20)["port"])
        self.url = f"http://127.0.0.1:{self.port}/alerts?robot=1"

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(json.loads(line))

    async def next(self, timeout_s: float = 10.0) -> dict[str, Any]:
        return await asyncio.to_thread(self._lines.get, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture
def client(session: Session) -> Iterator[SafetyClient]:
    offset = session.clock_offset_ns
    settings = Settings(session.safety_dir, watch={"x": 1.0}, clock_offset_ns=offset)
    started = spawn.start(settings)
    yield SafetyClient(session.safety_dir)
    started.process.kill()
    started.process.wait()


async def told(bench: Bench[Alerts], way: str, name: str, least: int) -> Diagnostic:
    """Wait until a way has counted something so often."""
    async with asyncio.timeout(20):
        while True:
            message = await bench.receive("diagnostics", timeout_s=20)
            assert isinstance(message, Diagnostic)
            if message.name == f"alerts/{way}" and int(message.values.get(name, 0)) >= least:
                return message


async def test_a_stop_is_posted_with_cause_and_time(session: Session, client: SafetyClient) -> None:
    token = session.run_dir / "token"
    token.write_text("secret\n")
    with Page("200") as page:
        params = {"webhook": {"url": page.url, "token_file": str(token)}}
        async with running(Alerts, session=session, params=params) as bench:
            begun_ns = time.time_ns()
            await asyncio.to_thread(client.stop, "smoke in the hall", "ada")
            came = await page.next()
            note = await bench.receive("alert")
            figures = await told(bench, "webhook", "told", 1)
    body = came["body"]
    assert (body["event"], body["cause"], body["by"]) == ("trip", "smoke in the hall", "ada")
    assert (body["robot"], body["state"], body["latch"]) == (session.name, "TRIPPED", 1)
    assert begun_ns <= body["stamp_ns"] <= came["at_ns"]
    assert body["at"].endswith("+00:00")
    assert came["path"] == "/alerts?robot=1"
    assert came["headers"]["Authorization"] == "Bearer secret"
    assert isinstance(note, Diagnostic)
    assert (note.level, note.name, note.text) == ("error", "guardian/trip", "smoke in the hall")
    assert figures.values["failed"] == "0"


async def test_what_happened_long_before_is_not_told(
    session: Session, client: SafetyClient
) -> None:
    client.stop("earlier", "ada")
    await asyncio.sleep(0.3)
    with Page("200") as page:
        params = {"webhook": {"url": page.url}, "catch_up_s": 0.0}
        async with running(Alerts, session=session, params=params):
            await asyncio.to_thread(client.stop, "later", "ada")
            assert (await page.next())["body"]["cause"] == "later"


async def test_a_page_in_trouble_is_tried_again_and_one_that_refuses_is_not(
    session: Session, client: SafetyClient
) -> None:
    with Page("503", "429", "200", "404") as page:
        params = {"webhook": {"url": page.url}, **QUICK}
        async with running(Alerts, session=session, params=params) as bench:
            await asyncio.to_thread(client.stop, "one", "ada")
            causes = [(await page.next())["body"]["cause"] for _ in range(3)]
            await told(bench, "webhook", "told", 1)
            await asyncio.to_thread(client.stop, "two", "ada")
            causes.append((await page.next())["body"]["cause"])
            figures = await told(bench, "webhook", "refused", 1)
    assert causes == ["one", "one", "one", "two"]
    assert figures.values == {
        "told": "1",
        "failed": "2",
        "refused": "1",
        "lost": "0",
        "waiting": "0",
    }
    assert "answers 404" in figures.text


async def test_a_dead_page_delays_no_stop_and_no_other_way(
    session: Session, client: SafetyClient
) -> None:
    with Page("200", "--silent") as page, BrokerProcess() as broker:
        params = {
            "webhook": {"url": page.url, "timeout_s": 0.5},
            "mqtt": {"topic": "robots/alerts", "broker": {"url": broker.url}},
            "room": 2,
            **QUICK,
        }
        async with (
            running(Alerts, session=session, params=params) as bench,
            aiomqtt.Client("127.0.0.1", broker.port) as hearer,
        ):
            await hearer.subscribe("robots/alerts", qos=1)
            heard = []
            for turn in range(4):
                outcome = await asyncio.to_thread(client.stop, f"stop {turn}", "ada")
                assert outcome.elapsed_s < 1.5, outcome
                message = await anext(hearer.messages)
                heard.append(json.loads(bytes(message.payload)))
            figures = await told(bench, "webhook", "failed", 2)
    assert [one["cause"] for one in heard] == [f"stop {turn}" for turn in range(4)]
    assert figures.level == "error"
    assert "gives no answer in 0.5 s" in figures.text
    assert (figures.values["told"], figures.values["lost"]) == ("0", "2")
    assert client.status().latch == 4


async def test_sound_and_light_are_told_of_trips_and_the_light_of_permission(
    session: Session, client: SafetyClient, tmp_path: Path
) -> None:
    lamp = tmp_path / "brightness"
    lamp.write_text("0\n")
    params = {"light": {"file": str(lamp)}, "sound": {"device": "no such loudspeaker 7f3a"}}
    async with running(Alerts, session=session, params=params) as bench:
        await asyncio.to_thread(client.stop, "smoke", "ada")
        await told(bench, "light", "told", 1)
        assert lamp.read_text() == "1\n"
        figures = await told(bench, "sound", "refused", 1)
        events = GuardianEvents(session.safety_dir / "events.jsonl")
        permit = {"event": "permit", "stamp_ns": time.time_ns() + 10**9, "by": "ada"}
        with (session.safety_dir / "events.jsonl").open("a") as file:
            file.write(json.dumps(permit) + "\n")
        await told(bench, "light", "told", 2)
    assert lamp.read_text() == "0\n"
    assert "loudspeaker" in figures.text
    assert [event["event"] for _, event in events.news()] == ["boot", "trip", "permit"]


async def test_without_a_way_it_says_so_and_connects_to_nothing(session: Session) -> None:
    async with running(Alerts, session=session) as bench:
        assert bench.node._link is None
        assert bench.node._boxes == {}


async def test_without_a_session_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="only within a session"):
        async with running(Alerts):
            pass


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "ftp://host/"}, "write https://host/path"),
        ({"url": "https:///path"}, "write https://host/path"),
        ({"url": "http://host:port/"}, "Port could not be cast"),
        ({"url": "http://host/a b"}, "write spaces"),
        ({"url": "http://host/\r\nX: y"}, "write spaces"),
        ({"url": "https://host/", "ca": "/no/such.pem"}, "give a PEM file"),
        ({"url": "http://host/", "token_file": "/no/such"}, "password_file=/no/such"),
    ],
)
def test_a_webhook_that_can_not_be_meant_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        Webhook(WebhookSettings(**settings))
    assert words in str(error.value)


async def test_what_does_not_listen_or_speak_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeviceError, match=f"http://127.0.0.1:{port}: .*[Cc]onnect"):
        await Webhook(WebhookSettings(url=f"http://127.0.0.1:{port}/")).tell(ALERT)

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as babbler:
        port = babbler.sockets[0].getsockname()[1]
        with pytest.raises(DeviceError, match="does not speak HTTP"):
            await Webhook(WebhookSettings(url=f"http://127.0.0.1:{port}/")).tell(ALERT)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_https_is_checked_against_its_authority(tmp_path: Path) -> None:
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    words += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)
    cert = str(tmp_path / "cert.pem")
    with Page("200", "--tls", cert, str(tmp_path / "key.pem")) as page:
        url = f"https://localhost:{page.port}/x"
        with pytest.raises(DeviceError, match="certificate verify failed"):
            await Webhook(WebhookSettings(url=url)).tell(ALERT)
        await Webhook(WebhookSettings(url=url, ca=Path(cert))).tell(ALERT)
        assert (await page.next())["body"] == ALERT


async def test_a_light_may_be_a_command(tmp_path: Path) -> None:
    script = ["sh", "-c", f'echo "$1" >> {tmp_path}/said', "light"]
    light = Light(LightSettings(command=script))
    await light.tell({"event": "trip"})
    await light.tell({"event": "permit"})
    assert (tmp_path / "said").read_text() == "on\noff\n"
    with pytest.raises(DeviceError, match="ends with 3"):
        await Light(LightSettings(command=["sh", "-c", "exit 3"])).tell(ALERT)
    with pytest.raises(DeviceError, match="no-such-light can't be run: No such file"):
        await Light(LightSettings(command=["no-such-light"])).tell(ALERT)
    with pytest.raises(DeviceError, match="does not end"):
        words = ["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60"]
        await Light(LightSettings(command=words, timeout_s=1.0)).tell(ALERT)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
    with pytest.raises(DeviceError, match="can't be switched: No such file"):
        await Light(LightSettings(file=tmp_path / "none")).tell(ALERT)
    with pytest.raises(ConfigError, match="a file or a command"):
        Light(LightSettings(file=tmp_path / "x", command=["y"]))


async def test_a_loudspeaker_that_is_not_there_is_told() -> None:
    with pytest.raises(RefusedError, match="loudspeaker"):
        await Sound(SoundSettings(device="no such loudspeaker 7f3a")).tell(ALERT)


def test_the_tone_is_what_was_asked_for() -> None:
    wave = tone(SoundSettings(device="default", tone_hz=880, seconds=1.0, level=0.5))[:, 0]
    spectrum = np.abs(np.fft.rfft(wave.astype(float)))
    assert len(wave) == RATE_HZ
    assert abs(int(np.argmax(spectrum)) - 880) <= 4
    assert 0.45 * 32_767 < np.abs(wave).max() <= 0.5 * 32_767


async def outbox(way: Any, **more: Any) -> tuple[Outbox, list[str]]:
    said: list[str] = []
    options: dict[str, Any] = {"room": 2, "keep_s": 60.0, "backoff": Backoff(0.001, 0.001)} | more
    box = Outbox(way, SystemClock(), on_change=lambda _, text: said.append(text), **options)
    return box, said


async def test_the_oldest_are_lost_when_too_many_wait_and_are_counted() -> None:
    told_of: list[object] = []

    async def way(alert: Alert) -> None:
        told_of.append(alert["cause"])

    box, _ = await outbox(way)
    for cause in ("a", "b", "c"):
        box.put({"cause": cause})
    task = asyncio.create_task(box.run())
    await until(lambda: box.told == 2)
    task.cancel()
    assert told_of == ["b", "c"]
    assert (box.lost, box.figures()["waiting"]) == (1, "0")


async def test_an_alert_that_was_pushed_out_while_it_was_told_takes_no_other_along() -> None:
    begun, go_on, told_of = asyncio.Event(), asyncio.Event(), []

    async def way(alert: Alert) -> None:
        begun.set()
        await go_on.wait()
        told_of.append(alert["cause"])

    box, _ = await outbox(way, room=1)
    box.put({"cause": "a"})
    task = asyncio.create_task(box.run())
    await begun.wait()
    box.put({"cause": "b"})
    go_on.set()
    await until(lambda: box.told == 2)
    task.cancel()
    assert told_of == ["a", "b"]


async def test_what_could_not_be_told_for_long_is_given_up() -> None:
    async def way(_: Alert) -> None:
        raise DeviceError("down")

    box, said = await outbox(way, keep_s=0.05)
    box.put(ALERT)
    task = asyncio.create_task(box.run())
    await until(lambda: box.lost == 1)
    task.cancel()
    assert box.failed >= 2
    assert said[0] == "down; next try in 0.001 s"
    assert said[-1] == "down; given up"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_events_are_read_line_by_line_whatever_else_stands_there(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events = GuardianEvents(file)
    assert events.news() == []
    file.write_text('{"event":"boot","stamp_ns":1}\nnoise\n[1]\n{"event":"trip","stamp_')
    assert events.news() == [(1, {"event": "boot", "stamp_ns": 1})]
    with file.open("a") as stream:
        stream.write('ns":2}\n')
    assert events.news() == [(4, {"event": "trip", "stamp_ns": 2})]
    assert events.unreadable == 2
    file.write_text('{"event":"boot","stamp_ns":9}\n')  # a folder made anew
    assert events.news() == [(1, {"event": "boot", "stamp_ns": 9})]
