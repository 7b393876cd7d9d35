"""The ways in which an alert goes outside: a webhook, MQTT, a tone, a light."""

from __future__ import annotations

# varies throughout: this speaks to the world outside, and nothing hears it
import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from olympus.drivers.microphone import load_portaudio
from olympus.drivers.mqtt import MqttLink, MqttSettings
from olympus.drivers.mqtt_settings import read_password
from olympus.drivers.source import without_secret
from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.security.authority import client_tls

Alert = Mapping[str, str | int | bool]
"""What is told, ready for JSON."""
Way = Callable[[Alert], Awaitable[None]]
"""Tells an alert; raises `DeviceError` where another try is worth it, else `RefusedError`."""

RATE_HZ = 48_000
_PORTS = {"http": 80, "https": 443}
_TRY_AGAIN = (408, 425, 429)


class RefusedError(DeviceError):
    """It was told, and is not wanted: another try would end alike."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WebhookSettings(_Settings):
    """A page that takes alerts."""

    url: str = Field(default="", description="http:// or https:// address; empty: off.")
    timeout_s: float = Field(default=5.0, gt=0, le=60, description="Longest wait for its answer.")
    token_file: Path | None = Field(
        default=None, description="File whose first line goes along as `Authorization: Bearer …`."
    )
    ca: Path | None = Field(default=None, description="PEM file of the authority that signed it.")


class MqttAlertSettings(_Settings):
    """A topic of an MQTT broker that takes alerts."""

    topic: str = Field(default="", description="Where to; empty: off.")
    broker: MqttSettings = Field(
        default_factory=MqttSettings, description="How to reach the broker."
    )
    qos: Literal[0, 1, 2] = Field(default=1, description="Quality of service.")
    retain: bool = Field(default=False, description="Whether the broker keeps the newest.")


class SoundSettings(_Settings):
    """A tone on a loudspeaker."""

    device: str = Field(
        default="", description="`default`, or a part of the device's name; empty: off."
    )
    tone_hz: float = Field(default=880.0, ge=100, le=8000, description="Its pitch.")
    seconds: float = Field(default=1.5, gt=0, le=30, description="How long it sounds.")
    level: float = Field(default=0.5, gt=0, le=1, description="How loud, of what the device can.")


class LightSettings(_Settings):
    """A light that is on while it is stopped: a file of the kernel, or a command of yours."""

    file: Path | None = Field(
        default=None, description="Is given 1 and 0: /sys/class/leds/NAME/brightness."
    )
    command: list[str] = Field(
        default_factory=list, description="Is run with a last word `on` or `off`."
    )
    timeout_s: float = Field(default=5.0, gt=0, le=60, description="How long the command may take.")


class Webhook:
    """Posts alerts as JSON, each over a connection of its own."""

    def __init__(self, settings: WebhookSettings) -> None:
        """Check the address; nothing is sent.

        Raises:
            ConfigError: Address, certificate or token can't be used.
        """
        shown = without_secret(settings.url)
        try:
            parts = urlsplit(settings.url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"webhook.url={shown!r}: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigError(f"webhook.url={shown!r}: write https://host/path")
        if not settings.url.isascii() or any(one <= " " for one in settings.url):
            raise ConfigError(
                f"webhook.url={shown!r}: write spaces and umlauts as %20 and the like"
            )
        self.label = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._host, self._port = parts.hostname, port or _PORTS[parts.scheme]
        self._timeout_s = settings.timeout_s
        self._tls = _tls(settings) if parts.scheme == "https" else None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
        self._head += "Content-Type: application/json\r\nUser-Agent: olympus\r\n"
        self._head += "Connection: close\r\n"
        if settings.token_file is not None:
            token = read_password(settings.token_file).strip()
            self._head += f"Authorization: Bearer {token}\r\n"

    async def tell(self, alert: Alert) -> None:
        """Post it.

        Raises:
            RefusedError: The page says that it does not want it.
            DeviceError: It can't be reached, or has trouble of its own.
        """
        body = json.dumps(alert).encode()
        head = f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._exchange(head + body)
            status = int(answer.split()[1])
        except TimeoutError as error:
            raise DeviceError(f"{self.label} gives no answer in {self._timeout_s:g} s") from error
        except OSError as error:
            raise DeviceError(f"{self.label}: {error}") from error
        except (ValueError, IndexError) as error:
            raise DeviceError(f"{self.label} does not speak HTTP") from error
        if 200 <= status < 300:
            return
        kind = DeviceError if status >= 500 or status in _TRY_AGAIN else RefusedError
        raise kind(f"{self.label} answers {status}")

    async def _exchange(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.readline()
        finally:
            writer.transport.abort()


def _tls(settings: WebhookSettings) -> ssl.SSLContext:
    try:
        return client_tls(settings.ca)
    except OSError as error:
        raise ConfigError(f"webhook.ca={settings.ca}: {error}; give a PEM file") from error


class MqttAlerts:
    """Publishes alerts as JSON."""

    def __init__(self, settings: MqttAlertSettings, link: MqttLink) -> None:
        """Publish through a link that somebody keeps connected."""
        self._settings, self._link = settings, link

    async def tell(self, alert: Alert) -> None:
        """Publish it.

        Raises:
            DeviceError: The broker is not there, or does not confirm.
        """
        one = self._settings
        await self._link.publish(one.topic, json.dumps(alert), qos=one.qos, retain=one.retain)


class Sound:
    """Sounds a tone."""

    def __init__(self, settings: SoundSettings) -> None:
        """Name the loudspeaker; it stays closed until there is something to say."""
        self._settings = settings

    async def tell(self, _: Alert) -> None:
        """Sound it.

        Raises:
            RefusedError: There is no such loudspeaker, or it does not play; a tone that comes late
                says nothing.
        """
        await asyncio.to_thread(self._play)

    def _play(self) -> None:
        name = self._settings.device
        try:
            audio = load_portaudio("loudspeakers")
        except DeviceError as error:
            raise RefusedError(str(error)) from error
        try:
            with audio.OutputStream(
                device=None if name == "default" else name,
                samplerate=RATE_HZ,
                channels=1,
                dtype="int16",
            ) as stream:
                stream.write(tone(self._settings))
        except (audio.PortAudioError, ValueError) as error:
            raise RefusedError(
                f"loudspeaker {name!r}: {error}; `python -m sounddevice` lists what there is"
            ) from error


def tone(settings: SoundSettings) -> NDArray[np.int16]:
    """Return a tone that swells and fades four times a second.

    Args:
        settings: Pitch, length and level.

    Returns:
        (samples, 1) int16 at `RATE_HZ`.
    """
    at_s = np.arange(round(settings.seconds * RATE_HZ)) / RATE_HZ
    swell = np.sin(np.pi * 4 * at_s) ** 2
    wave = np.sin(2 * np.pi * settings.tone_hz * at_s) * swell * settings.level
    return np.asarray(wave * 32_767, np.int16).reshape(-1, 1)


class Light:
    """Switches a light: on at a stop, off when motion is permitted."""

    def __init__(self, settings: LightSettings) -> None:
        """Name the light.

        Raises:
            ConfigError: There is both a file and a command.
        """
        if settings.file is not None and settings.command:
            raise ConfigError("light: give a file or a command, not both")
        self._settings = settings

    async def tell(self, alert: Alert) -> None:
        """Switch it.

        Raises:
            DeviceError: It can't be switched.
        """
        is_on = alert["event"] != "permit"
        if self._settings.file is not None:
            await asyncio.to_thread(_write, self._settings.file, "1\n" if is_on else "0\n")
        else:
            await self._run([*self._settings.command, "on" if is_on else "off"])

    async def _run(self, words: list[str]) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
            )
        except OSError as error:
            raise DeviceError(f"light: {words[0]} can't be run: {error.strerror}") from error
        try:
            code = await asyncio.wait_for(process.wait(), self._settings.timeout_s)
        except TimeoutError as error:
            raise DeviceError(f"light: {words[0]} does not end") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()  # it is the loop that takes leave of it
        if code:
            raise DeviceError(f"light: {words[0]} ends with {code}")


def _write(file: Path, text: str) -> None:
    try:
        with file.open("r+") as stream:
            stream.write(text)
    except OSError as error:
        raise DeviceError(f"light {file} can't be switched: {error.strerror}") from error
