import asyncio
import gc
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from olympus.drivers.broker_process import BrokerProcess
from olympus.drivers.mqtt import Delivery, MqttLink, MqttSettings
from olympus.drivers.mqtt_settings import read_address
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, DeviceError

Words = list[tuple[bool, str]]


class Ear:
    """A link that is listened to."""

    def __init__(self, link: MqttLink, heard: asyncio.Queue[Delivery], told: Words) -> None:
        self.link, self._heard, self.told = link, heard, told

    async def hear(self) -> Delivery:
        async with asyncio.timeout(30):
            return await self._heard.get()


@asynccontextmanager
async def listening(settings: MqttSettings, filters: Sequence[str] = ()) -> AsyncIterator[Ear]:
    heard: asyncio.Queue[Delivery] = asyncio.Queue()
    told: Words = []
    link = MqttLink(
        settings, clock=SystemClock(), on_change=lambda yes, text: told.append((yes, text))
    )

    async def run() -> None:
        async for delivery in link.deliveries(filters):
            heard.put_nowait(delivery)

    task = asyncio.create_task(run())
    try:
        yield Ear(link, heard, told)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def connected(ear: Ear) -> None:
    async with asyncio.timeout(30):
        await ear.link.wait_connected()


async def until(told: Words, *, connected: bool) -> str:
    """Wait for the link to say that it is connected or not; return its words."""
    async with asyncio.timeout(30):
        while not told or told[-1][0] is not connected:
            await asyncio.sleep(0.01)
    return told[-1][1]


def settings(url: str, **more: object) -> MqttSettings:
    return MqttSettings.model_validate(
        {"url": url, "retry_first_s": 0.05, "retry_most_s": 0.2, "timeout_s": 2, **more}
    )


async def test_a_message_goes_from_link_to_link() -> None:
    with BrokerProcess() as broker:
        async with listening(settings(broker.url), ["site/+"]) as ear:
            await connected(ear)
            await ear.link.publish("site/a", b"\x00\xff", qos=1)
            delivery = await ear.hear()
            assert (delivery.topic, delivery.payload) == ("site/a", b"\x00\xff")
            assert not delivery.retained
            assert abs(SystemClock().now_ns() - delivery.stamp_ns) < 5e9
            await ear.link.publish("site/kept", "1", retain=True, qos=1)
            await ear.hear()
        async with listening(settings(broker.url), ["site/#"]) as late:
            assert (await late.hear()).retained
            await late.link.publish("site/kept", b"", retain=True, qos=1)


async def test_the_link_comes_back_when_the_broker_does() -> None:
    with BrokerProcess() as broker:
        port = broker.port
        async with listening(settings(broker.url), ["x"]) as ear:
            await connected(ear)
            broker.stop()
            assert "next try in" in await until(ear.told, connected=False)
            with pytest.raises(DeviceError, match="not connected"):
                await ear.link.publish("x", b"1")
            with BrokerProcess(["--port", str(port)]):
                await until(ear.told, connected=True)
                await ear.link.publish("x", b"again", qos=1)
                assert (await ear.hear()).payload == b"again"
                assert ear.link.connects == 2


async def test_waits_between_tries_grow() -> None:
    async with listening(settings("mqtt://127.0.0.1:9")) as ear:
        async with asyncio.timeout(30):
            while len(ear.told) < 4:
                await asyncio.sleep(0.01)
        waits = [text.rsplit("next try in ")[-1] for _, text in ear.told[:4]]
        assert waits == ["0.05 s", "0.1 s", "0.2 s", "0.2 s"]


VANISH = """
import asyncio, os, signal, sys
from olympus.drivers.mqtt import LastWill, MqttLink, MqttSettings
from olympus.runtime.clock import SystemClock

will = LastWill(topic="rover/state", payload="offline")

async def main():
    def vanish(connected, text):
        if connected:
            os.kill(os.getpid(), signal.SIGKILL)

    link = MqttLink(MqttSettings(url=sys.argv[1], will=will), clock=SystemClock(), on_change=vanish)
    async for _ in link.deliveries([]):
        pass

asyncio.run(main())
"""


async def test_the_broker_says_the_last_will() -> None:
    with BrokerProcess() as broker:
        async with listening(settings(broker.url), ["rover/state"]) as ear:
            await connected(ear)
            dying = await asyncio.create_subprocess_exec(sys.executable, "-c", VANISH, broker.url)
            assert (await ear.hear()).payload == b"offline"
            await dying.wait()


async def test_a_wrong_password_is_told_and_the_right_one_works(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("correct horse\n")
    with BrokerProcess(["--user", "rover", "--password-file", str(secret)]) as broker:
        wrong = settings(broker.url, user="rover", password="wrong")
        async with listening(wrong) as ear:
            text = await until(ear.told, connected=False)
            assert "wrong" not in text
        right = settings(broker.url, user="rover", password_file=secret)
        async with listening(right, ["x"]) as ear:
            await connected(ear)
            await ear.link.publish("x", b"1", qos=1)
            await ear.hear()
        in_url = settings(broker.url.replace("//", "//rover:correct%20horse@"))
        async with listening(in_url) as ear:
            await connected(ear)


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and broker.pem and broker.key for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt install openssl")
    folder = tmp_path_factory.mktemp("keys")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "other"):
        own = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
        openssl(folder, "req", "-x509", "-days", "2", *new, *own)
    request = ("-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=broker")
    openssl(folder, "req", *new, *request)
    by_ca = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san")
    openssl(folder, "x509", "-req", "-in", "broker.csr", "-out", "broker.pem", *by_ca)
    return folder


@pytest.fixture
def secure_broker(keys: Path) -> BrokerProcess:
    arguments = ["--cert", str(keys / "broker.pem"), "--key", str(keys / "broker.key")]
    return BrokerProcess(arguments)


async def test_tls_works_with_the_right_authority(keys: Path, secure_broker: BrokerProcess) -> None:
    with secure_broker as broker:
        assert broker.url.startswith("mqtts://")
        async with listening(settings(broker.url, ca=keys / "ca.pem"), ["x"]) as ear:
            await connected(ear)
            await ear.link.publish("x", b"secret", qos=1)
            assert (await ear.hear()).payload == b"secret"


# The MQTT library leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_tls_refuses_a_broker_nobody_vouches_for(
    keys: Path, secure_broker: BrokerProcess
) -> None:
    with secure_broker as broker:
        for ca in (keys / "other.pem", None):
            async with listening(settings(broker.url, ca=ca)) as ear:
                assert "certificate verify failed" in await until(ear.told, connected=False)
        async with listening(settings(broker.url, insecure=True)) as ear:
            await connected(ear)


async def test_a_plain_client_gets_nowhere_on_a_tls_port(secure_broker: BrokerProcess) -> None:
    with secure_broker as broker:
        plain = settings(broker.url.replace("mqtts", "mqtt"))
        async with listening(plain) as ear:
            await until(ear.told, connected=False)
            assert ear.link.connects == 0


@pytest.mark.parametrize("url", ["", "broker", "http://x", "mqtt://", "mqtt://x:99999"])
def test_a_wrong_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="mqtt://host:port"):
        read_address(MqttSettings(url=url))


def test_an_address_is_taken_apart_without_showing_its_password() -> None:
    address = read_address(MqttSettings(url="mqtts://anna:ge%40heim@broker.local"))
    assert (address.host, address.port, address.has_tls) == ("broker.local", 8883, True)
    assert (address.user, address.password) == ("anna", "ge@heim")
    with pytest.raises(ConfigError) as caught:
        read_address(MqttSettings(url="http://anna:geheim@x"))
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(MqttSettings(password=SecretStr("geheim")))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none"):
        read_address(MqttSettings(password_file=tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="first line is empty"):
        read_address(MqttSettings(password_file=tmp_path / "empty"))
    with pytest.raises(ConfigError, match=r"none\.pem"):
        MqttLink(settings("mqtts://x", ca=tmp_path / "none.pem"), clock=SystemClock())


async def test_leaving_while_the_broker_goes_leaves_no_complaint() -> None:
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    with BrokerProcess() as broker:
        async with listening(settings(broker.url), ["x"]) as ear:
            await connected(ear)
            broker.stop()  # blocks the loop on purpose: the news of the end waits in the socket
    del ear
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
