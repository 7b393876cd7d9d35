"""The node that runs the simulated world in real time and serves its devices."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.messages import Ack, Diagnostic
from olympus.runtime.node import Field, Node, NodeParams, output, service, timer
from olympus.sim.iot import run_devices
from olympus.sim.link import socket_path
from olympus.sim.messages import Happen, SetFault, Truth
from olympus.sim.scenarios import find_scenario
from olympus.sim.server import DeviceServer
from olympus.sim.stage import Stage
from olympus.sim.world import Renderer, World


class SimWorld(Node):
    """Steps the world by the robot's clock; cameras, microphones and bases connect to its socket.

    Values that other threads read (`truth`, faults, events) are whole objects that are replaced, so
    the world's thread and the event loop need no lock between them.
    """

    class Params(NodeParams):
        """What world to run, and how."""

        scenario: str = Field(default="patrol", description="Which situation; see sim.scenarios.")
        seed: int | None = Field(
            default=None, ge=0, description="Another building and other people; empty: scenario's."
        )
        people: int | None = Field(
            default=None, ge=0, le=8, description="How many walk about; empty: the scenario's."
        )
        fps: float = Field(
            default=30.0, ge=1, le=50, description="Most pictures a second for any camera."
        )
        mqtt_url: str = Field(
            default="", description="Broker of the IoT devices, mqtt://host:port; empty: none."
        )
        realtime_factor: float = Field(
            default=1.0, gt=0, le=20, description="World seconds in a robot second."
        )
        renderer: Renderer = Field(
            default="rays", description="rays needs nothing; gl needs pyopengl and EGL or OSMesa."
        )
        socket: str = Field(
            default="", description="Where devices connect; empty: sim.sock of the session."
        )

    is_replayed = False

    params: Params
    truth = output("sim/truth", Truth)
    diagnostics = output("diagnostics", Diagnostic)

    async def on_configure(self) -> None:
        """Build the world.

        Raises:
            ConfigError: There is no such scenario, or nobody says where the socket is.
        """
        path = socket_path(self.session, self.params.socket)
        scenario = find_scenario(self.params.scenario)
        self.world: World = await asyncio.to_thread(
            scenario.world,
            seed=self.params.seed,
            people=self.params.people,
            renderer=self.params.renderer,
        )
        self._path = path
        self._iot_trouble = ""

    async def on_activate(self) -> None:
        """Start the world, its devices, and the IoT devices.

        Raises:
            DeviceError: Another simulator serves this session.
        """
        self._stop, self._ended = threading.Event(), asyncio.Event()
        self.stage = Stage(
            self.world,
            self.clock,
            realtime_factor=self.params.realtime_factor,
            max_fps=self.params.fps,
        )
        self._server = DeviceServer(self.stage, self._path)
        self._server.start()
        self._lost_ns = 0
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="world", daemon=True)
        self._thread.start()
        self.spawn(self._watch(), name="watch")
        if self.params.mqtt_url:
            self.spawn(self._live_iot(), name="iot")

    async def on_deactivate(self) -> None:
        """Stop the world where it is; it goes on from there at the next activation."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 2.0)
        await asyncio.to_thread(self._server.close)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self.stage.run(self._stop)
        finally:
            # The loop may have ended before this thread does.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._ended.set)

    async def _watch(self) -> None:
        await self._ended.wait()
        if not self._stop.is_set():
            raise DeviceError("the world's thread died; the host's log tells why")

    async def _live_iot(self) -> None:
        def note(connected: bool, text: str) -> None:
            self._iot_trouble = "" if connected else text

        await run_devices(self.world, self.params.mqtt_url, clock=self.clock, on_change=note)

    @timer(0.1)
    def publish_truth(self) -> None:
        """Publish where everybody is."""
        self.truth.publish(self.stage.truth())

    @timer(1.0)
    def report(self) -> None:
        """Say whether the world keeps up with the clock."""
        lost_ns = self.stage.lost_ns - self._lost_ns
        self._lost_ns += lost_ns
        text, level = "keeps up with the clock", "ok"
        if lost_ns:
            level = "warn"
            text = f"fell {lost_ns / 1e9:.2f} s behind the clock and skipped it; give it more CPU"
        elif self._iot_trouble:
            text, level = self._iot_trouble, "warn"
        values = {"missed_frames": str(self.stage.missed), "clients": str(self._server.clients)}
        self.diagnostics.publish(
            Diagnostic(level=level, name=f"{self.name}/pace", text=text, values=values)
        )

    @service("fault")
    def set_fault(self, request: SetFault) -> Ack:
        """Cause a fault or end it."""
        try:
            self.world.faults.set(request.name, request.value)
        except ConfigError as error:
            return Ack(ok=False, text=str(error))
        return Ack(ok=True, text=f"faults: {', '.join(self.world.faults.active()) or 'none'}")

    @service("event")
    def happen(self, request: Happen) -> Ack:
        """Let something happen."""
        try:
            self.world.happen(request.name)
        except ConfigError as error:
            return Ack(ok=False, text=str(error))
        return Ack(ok=True, text=f"{request.name} happens")
