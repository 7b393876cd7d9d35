"""The embedded MQTT broker: a process of its own, for robots whose site has none.

    python -m olympus.drivers.broker --port 0

binds, prints one line of JSON, `{"ready": true, "port": 41235, "url": "mqtt://127.0.0.1:41235"}`,
and serves until SIGINT, SIGTERM, or the end of the process that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import ssl
import sys
from functools import partial
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from amqtt.errors import AMQTTError
from amqtt.session import Session

from olympus.drivers.mqtt_settings import read_password
from olympus.runtime.errors import ConfigError, DeviceError, OlympusError
from olympus.runtime.lifeline import tie_to_parent

_LISTENER = "default"
_AUTH = "olympus.drivers.broker_auth.OneUserPlugin"
_ANONYMOUS = "amqtt.plugins.authentication.AnonymousAuthPlugin"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    cli = argparse.ArgumentParser(prog="python -m olympus.drivers.broker", description=__doc__)
    cli.add_argument("--bind", default="127.0.0.1", help="address to listen on")
    cli.add_argument("--port", type=int, default=0, help="port; 0 for a free one")
    cli.add_argument("--user", default="", help="the one user that is let in; empty for anybody")
    cli.add_argument("--password-file", type=Path, help="file whose first line is the password")
    cli.add_argument("--cert", type=Path, help="PEM certificate: turns TLS on")
    cli.add_argument("--key", type=Path, help="PEM key of the certificate")
    cli.add_argument("--ready-fd", type=int, default=1, help="where the ready line goes")
    cli.add_argument("--parent", type=int, help="process that must live for this one to live")
    cli.add_argument("--lifeline-fd", type=int, help="pipe that ends with the parent")
    cli.add_argument("--log-level", default="error", choices=("debug", "info", "warning", "error"))
    return cli


def bind(host: str, port: int) -> socket.socket:
    """Take the port, so that a port that is taken is told before anything else.

    Raises:
        DeviceError: It is taken or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(100)
    except (OSError, OverflowError) as error:
        listener.close()
        raise DeviceError(
            f"the MQTT broker can't listen on {host}:{port}: {error}; stop what listens there"
            " (ss -ltnp shows it), or give --port 0 for a free port"
        ) from error
    return listener


def configuration(args: argparse.Namespace) -> dict[str, Any]:
    """Return amqtt's configuration for the command line.

    Raises:
        ConfigError: Options contradict each other, or a file can't be read.
    """
    if bool(args.user) != bool(args.password_file):
        raise ConfigError("--user and --password-file belong together; give both or none")
    if bool(args.cert) != bool(args.key):
        raise ConfigError("--cert and --key belong together; give both or none")
    for path in (args.cert, args.key):
        if path is not None and not path.is_file():
            raise ConfigError(f"there is no file {path}; give a PEM file")
    auth: dict[str, Any] = {_ANONYMOUS: {"allow_anonymous": True}}
    if args.user:
        auth = {_AUTH: {"user": args.user, "password": read_password(args.password_file)}}
    return {"listeners": {_LISTENER: {"type": "external", "bind": ""}}, "plugins": auth}


class TidyBroker(Broker):  # type: ignore[misc]  # amqtt ships no types
    """amqtt's broker, without retained messages for clients that did not ask for them.

    Version 0.12 goes through everybody's subscriptions when a client connects, and sends it all the
    retained messages they match.
    """

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribers = self._subscriptions.get(subscription[0], [])
        if any(one is session for one, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


async def start_broker(config: dict[str, Any]) -> TidyBroker:
    """Start amqtt without a listener of its own: the port is ours, and is taken already.

    Raises:
        DeviceError: It refuses.
    """
    try:
        broker = TidyBroker(config)
        await broker.start()
    except AMQTTError as error:
        raise DeviceError(f"the MQTT broker does not start: {error}") from error
    return broker


def server_tls(cert: Path, key: Path) -> ssl.SSLContext:
    """Make the broker's side of TLS, 1.2 or newer.

    Raises:
        ConfigError: The certificate or the key can't be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigError(f"TLS files {cert}, {key}: {error}; give a PEM pair") from error
    return context


async def serve(args: argparse.Namespace) -> None:
    """Serve until a signal comes.

    Raises:
        ConfigError: The command line can't be used.
        DeviceError: The port is taken.
    """
    config = configuration(args)
    listener = bind(args.bind, args.port)
    tls = server_tls(args.cert, args.key) if args.cert else None
    broker = await start_broker(config)
    greet = partial(broker.stream_connected, listener_name=_LISTENER)
    server = await asyncio.start_server(greet, sock=listener, ssl=tls)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = listener.getsockname()[1]
    scheme = "mqtts" if args.cert else "mqtt"
    host = f"[{args.bind}]" if ":" in args.bind else args.bind
    line = {"ready": True, "port": port, "url": f"{scheme}://{host}:{port}"}
    os.write(args.ready_fd, json.dumps(line).encode() + b"\n")
    await stop.wait()
    server.close()
    await broker.shutdown()


def main(argv: list[str] | None = None) -> int:
    """Run the broker; return the exit code."""
    args = parser().parse_args(argv)
    tie_to_parent(args.lifeline_fd)
    # The parent may have ended before the tie was made.
    if args.parent is not None and os.getppid() != args.parent:
        return 0
    logging.basicConfig(level=args.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(args))
    except OlympusError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
