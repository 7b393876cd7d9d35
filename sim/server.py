"""Serves the devices of a stage on a unix socket; a slow client never slows the world."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from olympus.runtime.errors import DeviceError
from olympus.sim import link
from olympus.sim.feed import Feed
from olympus.sim.hearing import RATE_HZ
from olympus.sim.link import Kind, Packet
from olympus.sim.rover import BEARINGS_RAD, RANGE_MAX_M
from olympus.sim.stage import PictureFormat, Stage, Stamped

_log = logging.getLogger(__name__)
_WAIT_S = 0.5
_MAX_HELLO = 4096
_MAX_SIDE = 1280


class DeviceServer:
    """Listens from `start` to `close`; one thread for each client, two for a base's."""

    def __init__(self, stage: Stage, path: Path) -> None:
        self._stage, self._path = stage, path
        self._listener: socket.socket | None = None
        self._clients: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def clients(self) -> int:
        """How many are connected at present."""
        return len(self._clients)

    def start(self) -> None:
        """Begin to listen.

        Raises:
            DeviceError: Another simulator listens there, or the path can't be used.
        """
        if _answers(self._path):
            raise DeviceError(f"{self._path}: another simulator serves this session; stop it first")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            listener.listen(16)
        except OSError as error:
            listener.close()
            raise DeviceError(f"{self._path}: can't listen there: {error}") from error
        self._listener = listener
        self._spawn(self._accept, listener)

    def close(self) -> None:
        """Hang up on everybody and stop the motors; do nothing if it is closed."""
        self._is_closed = True
        if self._listener is None:
            return
        with self._lock:
            open_sockets = [self._listener, *self._clients]
        for one in open_sockets:
            _hang_up(one)
        for thread in self._threads:
            thread.join(2.0)
        self._listener.close()
        self._listener = None
        self._path.unlink(missing_ok=True)

    def _spawn(self, target: Callable[[socket.socket], None], of: socket.socket) -> None:
        thread = threading.Thread(target=target, args=(of,), name="sim-device", daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._is_closed:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._clients.add(client)
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            hello = link.receive(client, limit=_MAX_HELLO)
            if hello is not None:
                self._answer(client, hello)
        except DeviceError as error:
            _log.warning("a simulated device was refused: %s", error)
            _send(client, link.frame(Kind.REFUSED, str(error).encode()))
        finally:
            with self._lock:
                self._clients.discard(client)
            _hang_up(client)
            client.close()

    def _answer(self, client: socket.socket, hello: Packet) -> None:
        wish = link.receive_json(hello)
        match wish.get("device"):
            case "camera":
                self._serve_camera(client, _picture_format(wish))
            case "microphone":
                _send(client, link.frame_json(Kind.WELCOME, {"rate_hz": RATE_HZ}))
                self._pump(client, self._stage.sound, Kind.SOUND)
            case "base":
                self._serve_base(client)
            case other:
                raise DeviceError(f"no device {other!r:.40}; known: base, camera, microphone")

    def _serve_camera(self, client: socket.socket, format_: PictureFormat) -> None:
        # A small buffer: a client that stops reading finds few stale pictures in it.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, format_.width * format_.height * 3)
        _send(client, link.frame_json(Kind.WELCOME, {"fps": format_.fps}))
        self._pump(client, self._stage.pictures(format_), Kind.PICTURE)

    def _serve_base(self, client: socket.socket) -> None:
        bearings = [float(b) for b in BEARINGS_RAD]
        facts = {"bearings_rad": bearings, "range_max_m": RANGE_MAX_M}
        _send(client, link.frame_json(Kind.WELCOME, facts))
        self._spawn(self._obey, client)
        self._pump(client, self._stage.base, Kind.STATE)

    def _obey(self, client: socket.socket) -> None:
        """Apply commands as they come; a base whose client has gone brakes."""
        world = self._stage.world
        try:
            while (packet := link.receive(client, limit=_MAX_HELLO)) is not None:
                if packet.kind is Kind.COMMAND:
                    world.command(*link.read_command(packet))
                else:
                    world.neutral()
        except (DeviceError, OSError) as error:
            _log.warning("a simulated base lost its client: %s", error)
        finally:
            world.neutral()
            _hang_up(client)

    def _pump(self, client: socket.socket, feed: Feed[Stamped], kind: Kind) -> None:
        """Send what the feed gives until the client or the feed ends."""
        seq = feed.seq
        with feed.reading():
            while not (self._is_closed or feed.is_closed):
                item = feed.after(seq, _WAIT_S)
                if item is None:
                    continue
                seq = item.seq
                self._stage.missed += item.missed if kind is not Kind.STATE else 0
                if not _send(client, link.frame(kind, item.value.payload, item.value.stamp_ns)):
                    return


def _picture_format(wish: dict[str, object]) -> PictureFormat:
    width, height, fps = (wish.get(key) for key in ("width", "height", "fps"))
    if not (isinstance(width, int) and isinstance(height, int) and isinstance(fps, int | float)):
        raise DeviceError(f"width={width!r}, height={height!r}, fps={fps!r}: numbers are needed")
    if width % 2 or height % 2 or not (16 <= width <= _MAX_SIDE and 16 <= height <= _MAX_SIDE):
        raise DeviceError(f"{width}x{height}: even sides from 16 to {_MAX_SIDE}; try 160x120")
    if not 0.1 <= fps <= 50:
        raise DeviceError(f"fps={fps}: the simulated camera takes 0.1 to 50 pictures a second")
    return PictureFormat(width, height, float(fps))


def _send(client: socket.socket, data: bytes) -> bool:
    try:
        client.sendall(data)
    except OSError:
        return False
    return True


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _answers(path: Path) -> bool:
    """Tell whether somebody listens at the path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
