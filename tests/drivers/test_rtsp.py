"""RTSP cameras against a real RTSP server: small, here, and able to hang on command."""

import itertools
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from olympus.drivers.camera import RtspCamera
from olympus.drivers.registry import open_camera
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import DeviceError

WIDTH, HEIGHT, FPS = 64, 48, 20
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    f"m=video 0 RTP/AVP 26\r\na=framerate:{FPS}\r\na=control:track0\r\n"
)


def jpeg(red: int) -> bytes:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 2] = red
    ok, data = cv2.imencode(".jpg", picture)
    assert ok
    return data.tobytes()


def rtp_payload(data: bytes) -> bytes:
    """Return a JPEG picture as one RTP/JPEG payload. Source: RFC 2435."""
    tables = b""
    at = 2
    while data[at + 1] != 0xDA:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if marker == 0xDB:
            segment = data[at + 4 : at + 2 + length]
            tables += b"".join(segment[i + 1 : i + 65] for i in range(0, len(segment), 65))
        at += 2 + length
    scan = data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] : -2]
    head = struct.pack(">IBBBB", 0, 1, 255, WIDTH // 8, HEIGHT // 8)
    return head + struct.pack(">BBH", 0, 0, len(tables)) + tables + scan


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plays = threading.Event()
        self.plays.set()
        self.is_over = threading.Event()
        self.clients: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.server_address[1]}/camera"

    def hang_up(self) -> None:
        for client in self.clients:
            client.shutdown(socket.SHUT_RDWR)
        self.clients.clear()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nothing to report."""


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        self.server.clients.append(self.request)
        for line in iter(self.rfile.readline, b""):
            if not line.startswith((b"OPTIONS", b"DESCRIBE", b"SETUP", b"PLAY")):
                continue
            verb = line.split()[0].decode()
            headers = {}
            for header in iter(self.rfile.readline, b"\r\n"):
                key, _, value = header.decode().partition(":")
                headers[key.lower()] = value.strip()
            self.answer(verb, headers["cseq"])
            if verb == "PLAY":
                self.stream()
                return

    def answer(self, verb: str, cseq: str) -> None:
        extra, body = "Session: 7\r\n", ""
        if verb == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n"
        elif verb == "DESCRIBE":
            extra, body = "Content-Type: application/sdp\r\n", SDP
        elif verb == "SETUP":
            extra += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        head = f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
        self.wfile.write((head + body).encode())

    def stream(self) -> None:
        payloads = [rtp_payload(jpeg(red)) for red in (50, 150, 250)]
        for number in itertools.count():
            if self.server.is_over.wait(1 / FPS):
                return
            if not self.server.plays.is_set():
                continue
            stamp = number * 90_000 // FPS
            head = struct.pack(">BBHII", 0x80, 0x80 | 26, number & 0xFFFF, stamp, 7)
            packet = head + payloads[number % 3]
            self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.is_over.set()
        server.shutdown()
        thread.join()


def test_a_stream_is_seen(server: Server) -> None:
    with open_camera(server.url, clock=SystemClock()) as camera:
        assert camera.applied is not None
        assert (camera.applied.width, camera.applied.height) == (WIDTH, HEIGHT)
        frames = [camera.read() for _ in range(6)]
    reds = {round(float(frame.rgb[..., 0].mean()), -1) for frame in frames}
    assert reds <= {50, 150, 250}
    assert len(reds) >= 2
    assert max(float(frame.rgb[..., 2].mean()) for frame in frames) < 10
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(stamps)


def seconds_until_lost(camera: RtspCamera) -> float:
    """Read what was on its way, and return how long the last, failing read took."""
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        begin_s = time.monotonic()
        try:
            camera.read()
        except DeviceError:
            return time.monotonic() - begin_s
    pytest.fail("the stream was never missed")


def test_a_stream_that_hangs_is_noticed_within_a_second_and_a_bit(server: Server) -> None:
    with RtspCamera(server.url, clock=SystemClock()) as camera:
        camera.read()
        server.plays.clear()
        assert seconds_until_lost(camera) < 1.5


def test_a_server_that_hangs_up_is_noticed_and_found_again(server: Server) -> None:
    camera = RtspCamera(server.url, clock=SystemClock())
    with camera:
        camera.read()
        server.hang_up()
        assert seconds_until_lost(camera) < 1.5
    with camera:
        assert camera.read().rgb.shape == (HEIGHT, WIDTH, 3)
