"""How to reach an MQTT broker: address, user, TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from olympus.drivers.source import without_secret
from olympus.runtime.errors import ConfigError
from olympus.runtime.security.authority import client_tls

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class LastWill(BaseModel):
    """What the broker says for us when we vanish."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str = Field(min_length=1, description="Topic it goes to.")
    payload: str = Field(default="offline", description="What it says.")
    qos: Literal[0, 1, 2] = Field(default=1, description="Quality of service.")
    retain: bool = Field(default=True, description="Whether late subscribers hear it too.")


class MqttSettings(BaseModel):
    """How to reach a broker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        default="mqtt://127.0.0.1:1883",
        description="mqtt://host:port, or mqtts://host:port for TLS; user:password@ may stand"
        " before the host.",
    )
    user: str = Field(default="", description="User name; empty for none.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    password_file: Path | None = Field(
        default=None,
        description="File whose first line is the password; better than writing it here.",
    )
    ca: Path | None = Field(
        default=None, description="PEM file of the authority that signed the broker."
    )
    cert: Path | None = Field(default=None, description="PEM file of our own certificate.")
    key: Path | None = Field(default=None, description="PEM file of our own key.")
    insecure: bool = Field(
        default=False, description="Accept any certificate for any host. Only for a bench."
    )
    client_id: str = Field(
        default="", description="Our name at the broker; empty for a random one."
    )
    keepalive_s: int = Field(
        default=15, ge=1, le=3600, description="A silent link is dead after 1.5 x it."
    )
    timeout_s: float = Field(default=5.0, gt=0, le=60, description="Longest wait for an answer.")
    retry_first_s: float = Field(
        default=0.25, gt=0, le=60, description="First wait before reconnecting."
    )
    retry_most_s: float = Field(default=10.0, gt=0, le=600, description="Longest wait.")
    will: LastWill | None = Field(default=None, description="What the broker says when we vanish.")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker is, out of its address."""

    host: str
    port: int
    has_tls: bool
    user: str
    password: str


def read_address(settings: MqttSettings) -> Address:
    """Take the address apart and fetch the password.

    Raises:
        ConfigError: The address or the password file can't be used.
    """
    shown = without_secret(settings.url)
    try:
        parts = urlsplit(settings.url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"url={shown!r}: {error}; write mqtt://host:port") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigError(f"url={shown!r}: write mqtt://host:port, or mqtts://host:port for TLS")
    password = settings.password.get_secret_value() or unquote(parts.password or "")
    if settings.password_file is not None:
        password = read_password(settings.password_file)
    return Address(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        has_tls=parts.scheme == "mqtts",
        user=settings.user or unquote(parts.username or ""),
        password=password,
    )


def read_password(path: Path) -> str:
    """Return the first line of a password file.

    Raises:
        ConfigError: It can't be read or is empty.
    """
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"password_file={path}: {error}") from error
    if not lines or not lines[0]:
        raise ConfigError(
            f"password_file={path}: its first line is empty; write the password there"
        )
    return lines[0]


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Make the TLS side of a connection: TLS 1.2 or newer, broker and host name verified.

    Raises:
        ConfigError: A certificate or key can't be read.
    """
    try:
        context = client_tls(settings.ca)
        if settings.cert is not None:
            context.load_cert_chain(settings.cert, settings.key)
    except OSError as error:
        files = ", ".join(str(one) for one in (settings.ca, settings.cert, settings.key) if one)
        raise ConfigError(f"TLS files {files}: {error}; give PEM files that exist") from error
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
