"""The launcher's own page of figures: clients can't make the launcher grow."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from olympus.runtime.launch.metrics import MOST_CLIENTS, PATIENCE_S, MetricsServer


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer("127.0.0.1:0")
    yield made
    made.close()


def page(server: MetricsServer) -> str:
    with urllib.request.urlopen(server.url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_silent_clients_take_few_threads_and_are_cut_off(server: MetricsServer) -> None:
    host, port = server.url.removeprefix("http://").removesuffix("/metrics").split(":")
    before = threading.active_count()
    with ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(60)
        ]
        turned_away = 0
        for line in lines[MOST_CLIENTS:]:
            line.settimeout(10)
            with suppress(ConnectionResetError):
                assert line.recv(1) == b""
            turned_away += 1
        assert turned_away == 60 - MOST_CLIENTS
        assert threading.active_count() - before <= MOST_CLIENTS
        begun = time.monotonic()
        for line in lines[:MOST_CLIENTS]:
            line.settimeout(10 * PATIENCE_S)
            assert line.recv(1) == b""
        assert time.monotonic() - begun < 10 * PATIENCE_S
    assert page(server) == ""


def test_a_client_that_breaks_off_is_no_news(
    server: MetricsServer, capfd: pytest.CaptureFixture[str]
) -> None:
    host, port = server.url.removeprefix("http://").removesuffix("/metrics").split(":")
    for _ in range(5):
        line = socket.create_connection((host, int(port)))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        line.sendall(b"GET /metr")
        line.close()  # with a reset
    assert page(server) == ""
    assert capfd.readouterr().err == ""
