"""The simulated devices over real sockets: a stage in a thread, clients in this one."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from olympus.drivers.base import Camera, Microphone, RoverBase
from olympus.drivers.registry import make_base, make_camera, make_microphone
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError, StallError
from olympus.sim import devices, link
from olympus.sim.feed import Feed
from olympus.sim.server import DeviceServer
from olympus.sim.stage import Stage
from olympus.sim.world import World

CLOCK = SystemClock()
PATIENCE_S = 10.0
"""With a picture: a busy machine takes more than a second to draw one."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    running = Stage(World(3, people=0), CLOCK)
    stop = threading.Event()
    thread = threading.Thread(target=running.run, args=(stop,))
    thread.start()
    yield running
    stop.set()
    thread.join(5)


@pytest.fixture
def path(stage: Stage, tmp_path: Path) -> Iterator[Path]:
    server = DeviceServer(stage, tmp_path / "sim.sock")
    server.start()
    yield tmp_path / "sim.sock"
    server.close()


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def camera_at(path: Path, *, fps: float = 15, width: int = 160, height: int = 120) -> Camera:
    source = f"sim://front?socket={path}"
    return make_camera(source, clock=CLOCK, fps=fps, width=width, height=height)


def microphone_at(path: Path) -> Microphone:
    return make_microphone(f"sim://mic?socket={path}", clock=CLOCK)


def base_at(path: Path) -> RoverBase:
    return make_base(f"sim://base?socket={path}", clock=CLOCK)


def test_the_camera_gives_fresh_pictures_at_its_rate(path: Path) -> None:
    with camera_at(path, fps=25) as camera:
        frames = [camera.read(PATIENCE_S) for _ in range(6)]
    assert frames[0].rgb.shape == (120, 160, 3)
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(set(stamps))
    assert abs(CLOCK.now_ns() - stamps[-1]) < 5e9
    assert (stamps[-1] - stamps[0]) / 1e9 > 0.1


def test_two_cameras_of_different_sizes_work_at_once(path: Path) -> None:
    with camera_at(path) as one, camera_at(path, width=80, height=60, fps=10) as other:
        assert one.read(PATIENCE_S).rgb.shape == (120, 160, 3)
        assert other.read(PATIENCE_S).rgb.shape == (60, 80, 3)


def test_the_microphone_gives_blocks_without_a_gap(path: Path) -> None:
    with microphone_at(path) as microphone:
        blocks = [microphone.read(PATIENCE_S) for _ in range(4)]
        assert microphone.lost_samples == 0
    assert all(len(b.samples) == 1600 and b.rate_hz == 16_000 for b in blocks)
    assert np.diff([b.stamp_ns for b in blocks]) == pytest.approx([1e8] * 3)


def test_the_base_drives_and_measures(stage: Stage, path: Path) -> None:
    with base_at(path) as base:
        base.command(5.0, 5.0)
        eventually(lambda: base.state().left_radps > 4.5)
        state = base.state()
        assert state.ranges_m.shape == state.bearings_rad.shape == (19,)
        assert 0.9 < state.charge < 1.0
        assert state.accel_mps2[2] == pytest.approx(9.81, abs=1.0)
        assert stage.world.rover.pose.x > 1.5


def test_neutral_stops_the_wheels_from_another_thread(path: Path) -> None:
    with base_at(path) as base:
        base.command(5.0, 5.0)
        eventually(lambda: base.state().left_radps > 4.5)
        thread = threading.Thread(target=base.neutral)
        began = time.monotonic()
        thread.start()
        thread.join()
        assert time.monotonic() - began < 2.0
        eventually(lambda: abs(base.state().left_radps) < 0.05)


def test_a_base_whose_client_vanishes_brakes(stage: Stage, path: Path) -> None:
    base = base_at(path)
    base.open()
    base.command(5.0, 5.0)
    eventually(lambda: base.state().left_radps > 4.5)
    base.close()
    eventually(lambda: abs(stage.world.measurement.wheel_radps[0]) < 0.05)


def test_neutral_on_a_closed_base_never_fails(path: Path) -> None:
    base = base_at(path)
    base.neutral()
    base.open()
    base.close()
    base.neutral()


def test_a_slow_client_neither_slows_the_world_nor_gets_old_pictures(
    stage: Stage, path: Path
) -> None:
    lazy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    lazy.connect(str(path))
    wish = {"device": "camera", "width": 160, "height": 120, "fps": 30}
    lazy.sendall(link.frame_json(link.Kind.HELLO, wish))
    started_ns = stage.world.time_ns
    with camera_at(path, fps=30) as eager:
        stamps = [eager.read(PATIENCE_S).stamp_ns for _ in range(25)]
    assert max(np.diff(stamps)) < 2e9
    assert stage.world.time_ns - started_ns > 0.5e9
    lazy.settimeout(20)
    assert link.receive(lazy) is not None
    old = [packet.stamp_ns for _ in range(30) if (packet := link.receive(lazy)) is not None]
    assert stage.missed > 0
    assert old[-1] > stamps[-1]
    lazy.close()


def test_a_silent_camera_stalls(stage: Stage, path: Path) -> None:
    with camera_at(path) as camera:
        camera.read(PATIENCE_S)
        stage.world.faults.camera_silent = True
        with pytest.raises(StallError, match="nothing came"):
            for _ in range(5):
                camera.read(timeout_s=0.3)


def test_a_simulator_that_ends_is_noticed_and_found_again(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "sim.sock"
    server = DeviceServer(stage, path)
    server.start()
    camera = camera_at(path)
    camera.open()
    camera.read(PATIENCE_S)
    server.close()
    with pytest.raises(DeviceError, match="has gone"):
        for _ in range(5):
            camera.read(PATIENCE_S)
    camera.close()
    again = DeviceServer(stage, path)
    again.start()
    with camera:
        assert camera.read(PATIENCE_S).stamp_ns > 0
    again.close()


def test_a_second_simulator_on_the_same_socket_is_refused(stage: Stage, path: Path) -> None:
    with pytest.raises(DeviceError, match="another simulator"):
        DeviceServer(stage, path).start()


def test_a_socket_left_behind_is_replaced(stage: Stage, tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(tmp_path / "sim.sock"))
    left.close()
    server = DeviceServer(stage, tmp_path / "sim.sock")
    server.start()
    server.close()


def test_no_simulator_gives_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"world_node running"):
        camera_at(tmp_path / "nobody.sock").open()


def test_a_device_outside_a_session_needs_a_socket() -> None:
    with pytest.raises(ConfigError, match="socket=PATH"):
        make_camera("sim://front", clock=CLOCK)


def test_a_device_finds_the_simulator_of_its_session(stage: Stage, path: Path) -> None:
    session = Session(
        name="s", run_dir=path.parent, endpoint="", clock_offset_ns=CLOCK.offset_ns, pid=1
    )
    with devices.SimRoverBase("base", clock=CLOCK, session=session) as base:
        assert base.state().stamp_ns > 0


def test_an_odd_side_is_refused_with_a_remedy(path: Path) -> None:
    with pytest.raises(DeviceError, match="try 160x120"):
        camera_at(path, width=161).open()


def test_bytes_that_are_no_packet_are_refused(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.connect(str(path))
        stranger.settimeout(20)
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answer = link.receive(stranger)
    assert answer is not None
    assert answer.kind is link.Kind.REFUSED


def test_an_unknown_device_is_refused(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.connect(str(path))
        stranger.settimeout(20)
        stranger.sendall(link.frame_json(link.Kind.HELLO, {"device": "toaster"}))
        answer = link.receive(stranger)
    assert answer is not None
    assert b"known: base, camera, microphone" in answer.payload


def test_a_closed_device_says_so(path: Path) -> None:
    with pytest.raises(DeviceError, match=r"call open\(\) first"):
        camera_at(path).read(PATIENCE_S)
    with pytest.raises(DeviceError, match=r"call open\(\) first"):
        base_at(path).state()
    with pytest.raises(DeviceError, match=r"call open\(\) first"):
        base_at(path).command(1.0, 1.0)


def test_a_feed_counts_what_a_slow_reader_misses() -> None:
    feed: Feed[int] = Feed(depth=2)
    for value in range(5):
        feed.put(value)
    item = feed.after(0, 0.0)
    assert item is not None
    assert (item.value, item.seq, item.missed) == (3, 4, 3)
