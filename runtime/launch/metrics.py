"""The session's Prometheus endpoint, for launches without a viewer."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.errors import LaunchError
from olympus.runtime.messages import HostStats
from olympus.runtime.qos import QoS
from olympus.runtime.telemetry.prometheus import CONTENT_TYPE, exposition

_Request: TypeAlias = "socket.socket | tuple[bytes, socket.socket]"
MOST_CLIENTS = 16
"""Each has a thread of the launcher, which has better things to do; one more is turned away."""
PATIENCE_S = 2.0
"""How long a client may be silent before it is cut off."""


class _Server(ThreadingHTTPServer):
    """A server that clients can't make grow."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(MOST_CLIENTS)
        super().__init__(address, handler)

    def process_request(self, request: _Request, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread is to be had: handle_error tells, and the place is free
            self._free.release()
            raise

    def process_request_thread(self, request: _Request, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: _Request, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that broke off is no news
            super().handle_error(request, client_address)


class MetricsServer:
    """Serves `/metrics` with the newest statistics of every host."""

    def __init__(self, address: str) -> None:
        """Open the port; `follow` brings the figures.

        Args:
            address: `host:port`; port 0 picks a free one.

        Raises:
            LaunchError: The address is malformed or taken.
        """
        self._hosts: dict[str, HostStats] = {}
        host, _, port = address.rpartition(":")
        try:
            self._server = _Server((host, int(port)), _handler(self.text))
        except (OSError, ValueError, OverflowError) as error:
            raise LaunchError(
                f"telemetry.prometheus={address!r}: {error}; give a free host:port such as "
                "127.0.0.1:9464"
            ) from error
        thread = threading.Thread(
            target=self._server.serve_forever,
            name="metrics",
            daemon=True,
            kwargs={"poll_interval": 0.2},
        )
        thread.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/metrics"

    def follow(self, bus: Bus) -> None:
        """Take the statistics of every host from now on."""
        options = SubscriptionOptions(qos=QoS.queue(100))
        bus.subscribe("@olympus/stats/*", HostStats, self._keep, options)

    def text(self) -> str:
        """Return the page."""
        return exposition(list(self._hosts.values()))

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def _keep(self, stats: HostStats) -> None:
        self._hosts[stats.host] = stats


def _handler(text: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET /metrics."""

        timeout = PATIENCE_S

        def do_GET(self) -> None:
            """Send the page."""
            if self.path != "/metrics":
                self.send_error(HTTPStatus.NOT_FOUND, "only /metrics is here")
                return
            body = text().encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet: a scrape every few seconds is no news."""

    return Handler
