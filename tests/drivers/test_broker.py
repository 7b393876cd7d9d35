import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import psutil
import pytest

from olympus.drivers.broker_process import BrokerProcess
from olympus.runtime.errors import ConfigError, DeviceError

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerProcess]:
    with BrokerProcess() as process:
        yield process


async def receive(client: aiomqtt.Client, count: int) -> list[tuple[str, bytes, bool]]:
    """Wait for `count` messages: topic, payload, whether it was retained."""
    got: list[tuple[str, bytes, bool]] = []
    async with asyncio.timeout(20):
        while len(got) < count:
            message = await anext(client.messages)
            assert isinstance(message.payload, bytes)
            got.append((message.topic.value, message.payload, message.retain))
    return got


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_every_quality_of_service_arrives_in_order(broker: BrokerProcess, qos: int) -> None:
    topic = f"order/{qos}"
    async with (
        aiomqtt.Client("127.0.0.1", broker.port) as sender,
        aiomqtt.Client("127.0.0.1", broker.port) as reader,
    ):
        await reader.subscribe(topic, qos=qos)
        for number in range(50):
            await sender.publish(topic, str(number).encode(), qos=qos)
        got = await receive(reader, 50)
    assert [payload for _, payload, _ in got] == [str(n).encode() for n in range(50)]


async def test_a_retained_message_waits_for_late_readers_until_it_is_cleared(
    broker: BrokerProcess,
) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as sender:
        await sender.publish("kept/door", b"open", qos=1, retain=True)
        async with aiomqtt.Client("127.0.0.1", broker.port) as reader:
            await reader.subscribe("kept/+", qos=1)
            assert await receive(reader, 1) == [("kept/door", b"open", True)]
            await sender.publish("kept/door", b"shut", qos=1)
            assert await receive(reader, 1) == [("kept/door", b"shut", False)]
        await sender.publish("kept/door", b"", qos=1, retain=True)
        async with aiomqtt.Client("127.0.0.1", broker.port) as late:
            await late.subscribe("kept/#", qos=1)
            await sender.publish("kept/end", b"end", qos=1)
            assert await receive(late, 1) == [("kept/end", b"end", False)]


async def test_who_did_not_ask_gets_no_retained_messages(broker: BrokerProcess) -> None:
    async with (
        aiomqtt.Client("127.0.0.1", broker.port) as sender,
        aiomqtt.Client("127.0.0.1", broker.port) as reader,
    ):
        await reader.subscribe("asked/#", qos=1)
        await sender.publish("asked/for", b"1", qos=1, retain=True)
        await receive(reader, 1)
        async with aiomqtt.Client("127.0.0.1", broker.port) as other:
            await other.subscribe("elsewhere", qos=1)
            await sender.publish("elsewhere", b"2", qos=1)
            assert await receive(other, 1) == [("elsewhere", b"2", False)]


async def test_wildcards_match_what_they_should(broker: BrokerProcess) -> None:
    async with (
        aiomqtt.Client("127.0.0.1", broker.port) as sender,
        aiomqtt.Client("127.0.0.1", broker.port) as reader,
    ):
        await reader.subscribe([("wild/+/temperature", 1), ("wild/all/#", 1)])
        for topic in ("wild/a/temperature", "wild/a/b/temperature", "wild/all/x/y", "wild/other"):
            await sender.publish(topic, b"1", qos=1)
        await sender.publish("wild/all/end", b"1", qos=1)
        topics = [topic for topic, _, _ in await receive(reader, 3)]
    assert topics == ["wild/a/temperature", "wild/all/x/y", "wild/all/end"]


async def test_a_client_that_vanishes_leaves_its_will(broker: BrokerProcess) -> None:
    vanish = (
        "import asyncio, aiomqtt, os, signal\n"
        "async def main():\n"
        "    will = aiomqtt.Will('will/x', b'gone', qos=1)\n"
        f"    async with aiomqtt.Client('127.0.0.1', {broker.port}, will=will):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    async with aiomqtt.Client("127.0.0.1", broker.port) as reader:
        await reader.subscribe("will/x", qos=1)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", vanish)
        assert await receive(reader, 1) == [("will/x", b"gone", False)]
        await process.wait()


async def test_garbage_on_the_port_harms_nobody(broker: BrokerProcess) -> None:
    for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\x10\xff\xff\xff\xff", os.urandom(2000), b""):
        with socket.create_connection(("127.0.0.1", broker.port), timeout=2) as raw:
            raw.sendall(garbage)
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("after/garbage")
        await client.publish("after/garbage", b"1")
        assert len(await receive(client, 1)) == 1


async def test_a_reader_that_hangs_does_not_slow_the_others(broker: BrokerProcess) -> None:
    hang = (
        "import asyncio, aiomqtt\n"
        "async def main():\n"
        f"    async with aiomqtt.Client('127.0.0.1', {broker.port}) as client:\n"
        "        await client.subscribe('busy/#', qos=1)\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    slow = await asyncio.create_subprocess_exec(
        sys.executable, "-c", hang, stdout=asyncio.subprocess.PIPE
    )
    assert slow.stdout is not None
    await slow.stdout.readline()
    slow.send_signal(signal.SIGSTOP)
    try:
        async with (
            aiomqtt.Client("127.0.0.1", broker.port) as sender,
            aiomqtt.Client("127.0.0.1", broker.port) as reader,
        ):
            await reader.subscribe("busy/#", qos=1)
            for _ in range(300):
                await sender.publish("busy/x", b"z" * 2000, qos=1)
            assert len(await receive(reader, 300)) == 300
    finally:
        slow.kill()
        await slow.communicate()


async def test_an_idle_broker_costs_next_to_nothing(broker: BrokerProcess) -> None:
    process = psutil.Process(broker.pid)
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("idle/#")
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(2)  # the time over which its processor use is measured
        used = sum(process.cpu_times()[:2]) - before
    assert used / 2 <= 0.03
    assert process.memory_info().rss < 80e6


async def test_only_the_one_user_is_let_in(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("correct horse\n")
    with BrokerProcess(["--user", "rover", "--password-file", str(secret)]) as broker:
        for user, password in (("rover", "wrong"), ("eve", "correct horse"), (None, None)):
            with pytest.raises(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    "127.0.0.1", broker.port, username=user, password=password
                ):
                    pass
        async with aiomqtt.Client(
            "127.0.0.1", broker.port, username="rover", password="correct horse"
        ) as client:
            await client.publish("let/in", b"1", qos=1)


def test_a_port_that_is_taken_is_told(broker: BrokerProcess) -> None:
    with pytest.raises(DeviceError, match=rf"127\.0\.0\.1:{broker.port}.*--port 0"):
        BrokerProcess(["--port", str(broker.port)]).start()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--user", "x"], "--password-file"),
        (["--cert", "x.pem"], "--key"),
        (["--cert", "/none.pem", "--key", "/none.pem"], "there is no file"),
        (["--user", "x", "--password-file", "/none"], "password_file"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], what: str) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "olympus.drivers.broker", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert process.returncode == ConfigError.exit_code
    assert what in process.stderr
    assert "Traceback" not in process.stderr


def test_it_ends_on_sigterm_at_once() -> None:
    broker = BrokerProcess()
    broker.start()
    process = psutil.Process(broker.pid)
    begin = time.monotonic()
    broker.stop()
    assert time.monotonic() - begin < 3
    assert not process.is_running()


def test_it_dies_with_its_parent() -> None:
    parent = (
        "import time\n"
        "from olympus.drivers.broker_process import BrokerProcess\n"
        "broker = BrokerProcess()\n"
        "broker.start()\n"
        "print(broker.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        process.kill()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_an_orphan_does_not_start() -> None:
    assert (
        "--parent"
        in subprocess.run(
            [sys.executable, "-m", "olympus.drivers.broker", "--help"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout
    )
    not_our_parent = subprocess.run(
        [sys.executable, "-m", "olympus.drivers.broker", "--parent", "1"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert not_our_parent.returncode == 0
    assert not_our_parent.stdout == b""
