"""A real MQTT client that stays connected: TLS, password, last will, reconnects with back-off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from olympus.drivers.backoff import Backoff
from olympus.drivers.mqtt_settings import LastWill, MqttSettings, read_address, tls_context
from olympus.runtime.clock import Clock
from olympus.runtime.errors import DeviceError

if TYPE_CHECKING:
    import aiomqtt

__all__ = ["Delivery", "LastWill", "MqttLink", "MqttSettings"]

_NOTICE_S = 0.01
_WAITING = 1000
"""Messages that wait for a slow reader; the client library drops newer ones and logs it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message from the broker."""

    topic: str
    payload: bytes
    stamp_ns: int
    """Robot time at which it arrived here; a retained one may have been true long before."""
    retained: bool
    """Whether the broker kept it from earlier: it was not sent just now."""


def load_aiomqtt() -> ModuleType:
    """Import the MQTT client library.

    Raises:
        DeviceError: It is not installed.
    """
    try:
        import aiomqtt
    except ImportError as error:
        raise DeviceError(
            f"MQTT needs aiomqtt ({error}); install it with: pip install 'olympus-edge[iot]'"
        ) from error
    return aiomqtt


class MqttLink:
    """One client of one broker, for one event loop; `deliveries` keeps it connected."""

    def __init__(
        self,
        settings: MqttSettings,
        *,
        clock: Clock,
        on_change: Callable[[bool, str], None] | None = None,
    ) -> None:
        """Plan a link; nothing is sent before `deliveries` is iterated.

        Args:
            settings: How to reach the broker.
            clock: Stamps what arrives and times the waits.
            on_change: Told `(connected, text)` at each change and each failed try.

        Raises:
            ConfigError: The address, a certificate or the password file can't be used.
            DeviceError: The MQTT library is not installed.
        """
        self._library = load_aiomqtt()
        self._settings, self._clock = settings, clock
        self._address = read_address(settings)
        self._tls = tls_context(settings) if self._address.has_tls else None
        self._on_change = on_change
        self._client: aiomqtt.Client | None = None
        self._connected = asyncio.Event()
        self.label = f"{self._address.host}:{self._address.port}"
        self.connects = 0
        """How often a connection was made."""

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there, as far as we know."""
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        """Wait until the broker is there and the subscriptions are made."""
        await self._connected.wait()

    async def deliveries(self, filters: Sequence[str], qos: int = 1) -> AsyncIterator[Delivery]:
        """Connect, subscribe, and yield what arrives; reconnect with back-off for ever.

        Args:
            filters: Topic filters, `+` and `#` included; none is fine for a link that only sends.
            qos: Highest quality of service that is asked for, 0..2.

        Yields:
            Each message, in the order of its arrival.
        """
        backoff = Backoff(self._settings.retry_first_s, self._settings.retry_most_s)
        while True:
            try:
                async with self._make_client() as client:
                    await self._begin(client, filters, qos)
                    backoff.reset()
                    try:
                        async for message in client.messages:
                            yield self._delivery(message)
                    finally:
                        await self._notice_end(client)
            except self._library.MqttError as error:
                wait_s = backoff.next_s()
                self._tell(False, f"broker {self.label}: {error}; next try in {wait_s:g} s")
            finally:
                self._client = None
                self._connected.clear()
            await self._clock.sleep(wait_s)

    async def publish(
        self, topic: str, payload: bytes | str, *, qos: int = 0, retain: bool = False
    ) -> None:
        """Send a message.

        Args:
            topic: Where to, without wildcards.
            payload: What.
            qos: 0 returns at once; 1 and 2 wait for the broker's word.
            retain: Whether the broker keeps it for late subscribers.

        Raises:
            DeviceError: The broker is not there or does not confirm.
        """
        client = self._client
        if client is None or not self.is_connected:
            raise DeviceError(f"broker {self.label} is not connected; try again when it is")
        try:
            await client.publish(topic, payload, qos=qos, retain=retain)
        except (self._library.MqttError, ValueError) as error:
            raise DeviceError(f"broker {self.label}, topic {topic!r}: {error}") from error

    def _make_client(self) -> aiomqtt.Client:
        settings, will = self._settings, self._settings.will
        client: aiomqtt.Client = self._library.Client(
            self._address.host,
            self._address.port,
            username=self._address.user or None,
            password=self._address.password or None,
            identifier=settings.client_id or None,
            will=will
            and self._library.Will(will.topic, will.payload, qos=will.qos, retain=will.retain),
            timeout=settings.timeout_s,
            keepalive=settings.keepalive_s,
            tls_context=self._tls,
            max_queued_incoming_messages=_WAITING,
        )
        return client

    async def _begin(self, client: aiomqtt.Client, filters: Sequence[str], qos: int) -> None:
        if filters:
            await client.subscribe([(one, qos) for one in filters])
        self._client = client
        self.connects += 1
        self._connected.set()
        self._tell(True, f"broker {self.label} is connected")

    async def _notice_end(self, client: aiomqtt.Client) -> None:
        """Let a client that is to be left notice first that the broker has gone, if it has.

        It would trip over its own closed socket otherwise, and its future complain.
        """
        with suppress(self._library.MqttError, TimeoutError):
            await asyncio.wait_for(anext(client.messages), _NOTICE_S)

    def _delivery(self, message: aiomqtt.Message) -> Delivery:
        payload = message.payload
        return Delivery(
            topic=message.topic.value,
            payload=bytes(payload) if isinstance(payload, bytes | bytearray) else b"",
            stamp_ns=self._clock.now_ns(),
            retained=message.retain,
        )

    def _tell(self, connected: bool, text: str) -> None:
        if self._on_change is not None:
            self._on_change(connected, text)
