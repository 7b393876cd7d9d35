import asyncio
import math
from collections.abc import Iterator
from typing import Any

import aiomqtt
import pytest

from olympus.drivers.broker_process import BrokerProcess
from olympus.nodes.iot import Iot
from olympus.runtime.errors import ConfigError, ParamError
from olympus.runtime.messages import Diagnostic, Reading
from olympus.runtime.node.testing import Bench, running

MAPPING: list[dict[str, Any]] = [
    {
        "topic": "building/+/temperature",
        "kind": "number",
        "name": "{1}/temperature",
        "unit": "Cel",
        "range": [-40, 60],
    },
    {"topic": "building/store/door", "path": "contact", "name": "store/door", "stale_s": 0.5},
]


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerProcess]:
    with BrokerProcess() as process:
        yield process


def params(broker: BrokerProcess, **more: object) -> dict[str, Any]:
    settings = {"url": broker.url, "retry_first_s": 0.05, "retry_most_s": 0.1}
    return {"broker": settings, "mapping": MAPPING, **more}


async def reading(bench: Bench[Iot]) -> Reading:
    message = await bench.receive("iot/readings")
    assert isinstance(message, Reading)
    return message


async def told(bench: Bench[Iot], text: str) -> Diagnostic:
    """Wait for a diagnostic that says `text`, in words or figures."""
    async with asyncio.timeout(10):
        while True:
            message = await bench.receive("diagnostics", timeout_s=10)
            assert isinstance(message, Diagnostic)
            if text in message.text or text in message.values:
                return message


async def test_messages_become_readings(broker: BrokerProcess) -> None:
    async with running(Iot, params=params(broker)) as bench:
        await told(bench, "is connected")
        async with aiomqtt.Client("127.0.0.1", broker.port) as sensor:
            await sensor.publish("building/hall/temperature", b"21.5", qos=1)
            warm = await reading(bench)
            await sensor.publish("building/store/door", b'{"contact": true}', qos=1)
            door = await reading(bench)
    assert (warm.name, warm.value, warm.unit, warm.valid) == ("hall/temperature", 21.5, "Cel", True)
    assert warm.header.stamp > 0
    assert (door.name, door.value) == ("store/door", 1.0)


async def test_what_cannot_be_true_is_published_as_not_valid_and_counted(
    broker: BrokerProcess,
) -> None:
    async with running(Iot, params=params(broker)) as bench:
        await told(bench, "is connected")
        async with aiomqtt.Client("127.0.0.1", broker.port) as sensor:
            await sensor.publish("building/hall/temperature", b"1000", qos=1)
            hot = await reading(bench)
            await sensor.publish("building/hall/temperature", b"\xff\xfe garbage", qos=1)
            garbage = await reading(bench)
        assert (hot.value, hot.valid) == (1000, False)
        assert hot.text.startswith("out_of_range")
        assert math.isnan(garbage.value)
        assert (garbage.valid, garbage.name) == (False, "hall/temperature")
        news = await told(bench, "refused.not_text")
        assert news.values["refused.out_of_range"] == "1"
        assert bench.crashes == []


async def test_a_silent_sensor_is_missed(broker: BrokerProcess) -> None:
    async with running(Iot, params=params(broker)) as bench:
        missing = await reading(bench)
    assert (missing.name, missing.valid) == ("store/door", False)
    assert missing.text.startswith("stale")


async def test_the_node_waits_for_a_broker_that_comes_late() -> None:
    with BrokerProcess() as early:
        port = early.port
    settings = {"url": f"mqtt://127.0.0.1:{port}", "retry_first_s": 0.05, "retry_most_s": 0.1}
    async with running(Iot, params={"broker": settings, "mapping": MAPPING[:1]}) as bench:
        assert (await told(bench, "next try in")).level == "error"
        with BrokerProcess(["--port", str(port)]) as late:
            await told(bench, "is connected")
            async with aiomqtt.Client("127.0.0.1", late.port) as sensor:
                await sensor.publish("building/lab/temperature", b"20", qos=1)
                assert (await reading(bench)).value == 20


async def test_rules_can_be_changed_while_it_runs(broker: BrokerProcess) -> None:
    async with running(Iot, params=params(broker)) as bench:
        await told(bench, "is connected")
        with pytest.raises(ParamError, match="mapping"):
            bench.runner.set_params({"mapping": [{"topic": "a/#/b"}]})
        with pytest.raises(ParamError, match="mqtt://host:port"):
            bench.runner.set_params({"broker": {"url": "http://x"}})
        bench.runner.set_params({"mapping": [{"topic": "other", "name": "other"}]})
        await told(bench, "is connected")
        async with aiomqtt.Client("127.0.0.1", broker.port) as sensor:
            await sensor.publish("other", b"3", qos=1)
            async with asyncio.timeout(20):
                while (await reading(bench)).name != "other":
                    pass


async def test_a_wrong_address_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="mqtt://host:port"):
        async with running(Iot, params={"broker": {"url": "nowhere"}}):
            pass


async def test_the_password_is_not_listed(broker: BrokerProcess) -> None:
    settings = {"url": broker.url, "user": "x", "password": "geheim"}
    async with running(Iot, params={"broker": settings}, activate=False) as bench:
        assert "geheim" not in bench.node.params.model_dump_json()
