"""Has Nav2 drive what the navigator would: the same commands, carried out by an action of ROS 2."""

from __future__ import annotations

import asyncio
import math

from olympus.nodes.mission import Mission, Site
from olympus.nodes.obeying import Permit, as_said, is_news, obeyed, state_of
from olympus.nodes.odometry import Pose
from olympus.nodes.whereabouts import as_message
from olympus.runtime.errors import BusError, ConfigError
from olympus.runtime.messages import Ack, Command, MissionState, Odometry, Percept
from olympus.runtime.messages import Pose as PoseMessage
from olympus.runtime.node import Field, Node, NodeParams, output, service, subscribe, timer
from olympus.runtime.qos import QoS

_REASON = 200
"""So much of a reason is news: how far Nav2 has still to go is."""
NAVIGATE = "navigate"
"""The service that the section `ros2` of a launch file makes of /navigate_to_pose."""


class Nav2(Node):
    """Takes the navigator's commands; each way-point is one goal of NavigateToPose.

    A command that ends, by a stop, by another command or by its time, has its goal called off.
    After a stop of the guardian nothing goes on by itself.
    """

    class Params(NodeParams):
        """What is known of the site, and how long a way may take."""

        leg_s: float = Field(
            300.0, gt=0, le=86_400, description="How long the way to one way-point may take."
        )
        route: list[tuple[float, float]] = Field(
            default=[], description="Way-points of a patrol, map frame, metres."
        )
        places: dict[str, tuple[float, float]] = Field(
            default={}, description="Names that 'go to …' knows, map frame, metres."
        )
        stop_on_shout: bool = Field(
            True, description="A heard 'stop' trips the guardian, besides ending the mission."
        )

    params: Params
    mission_state = output("mission", MissionState, latched=True)
    said = output("said", Command, is_reliable=True)

    async def on_configure(self) -> None:
        """Start without a mission."""
        self._mission: Mission | None = None
        self._paused: Mission | None = None
        self._leg: asyncio.Task[None] | None = None
        self._pose: Pose | None = None
        self._is_on_map = False
        self._going = self._failed = ""
        self._done = 0
        self._deadline_ns = 0
        self._told: MissionState | None = None
        self._permit = Permit(self)
        self._is_permitted = False

    async def on_deactivate(self) -> None:
        """Call off what is under way."""
        self._end_mission()

    async def on_cleanup(self) -> None:
        """Let go of the lease."""
        self._permit.close()

    @subscribe("pose")
    def on_pose(self, pose: PoseMessage) -> None:
        """Remember where Nav2's localization says it is."""
        yaw = 2 * math.atan2(pose.qz, pose.qw)
        self._pose, self._is_on_map = Pose(pose.x_m, pose.y_m, yaw), True

    @subscribe("odometry")
    def on_odometry(self, odometry: Odometry) -> None:
        """Remember where the wheels say it is, while nobody knows better."""
        if not self._is_on_map:
            self._pose = Pose(odometry.x_m, odometry.y_m, odometry.yaw_rad)

    @subscribe("navigate/progress")
    def on_progress(self, progress: MissionState) -> None:
        """Remember how Nav2 gets on."""
        self._going = progress.reason if progress.state == "driving" else ""

    @subscribe("percepts", qos=QoS.queue(50))
    async def on_percept(self, percept: Percept) -> None:
        """Take notice of a shouted stop."""
        if (percept.kind, percept.label) != ("sound", "stop"):
            return
        self._end_mission()
        if self.params.stop_on_shout:
            await self._permit.stop(percept)

    @subscribe("command", qos=QoS.queue(10))
    def on_command(self, command: Command) -> None:
        """Carry out a command; what is not understood is logged and answered in `mission`."""
        answer = self.obey(command)
        self.log.info(answer.text, command=command.text, ok=answer.ok)

    @service("say")
    def on_say(self, command: Command) -> Ack:
        """Carry out a command and answer; it is told to all, as one on the topic is."""
        self.said.publish(as_said(command))
        return self.obey(command)

    def obey(self, command: Command) -> Ack:
        """Take on a command; a sentence that was only typed is understood here."""
        return obeyed(command, self._take_on)

    @timer(0.1)
    def on_tick(self) -> None:
        """Go on with the mission, and say how it goes."""
        self._is_permitted = self._permit.look()
        if not self._is_permitted:
            if self._mission is not None:
                self.log.warning("stopped: the mission is cleared", mission=self._mission.text)
            self._end_mission()
        elif self._mission is not None and self._leg is None:
            self._go_on(self._mission)
        self._tell()

    def _take_on(self, command: Command) -> str:
        if command.verb == "stop":
            paused = self._mission or self._paused
            self._end_mission()
            self._paused = paused
            return "standing; say 'continue' to go on"
        if not self._permit.look():  # else a later reset would cause motion, which it must not
            raise ConfigError("motion is stopped; reset it, then say it again")
        if self._pose is None:
            raise ConfigError("nobody says where the rover is; is there an odometry or a pose?")
        mission = self._paused
        if command.verb != "continue":
            mission = Mission(command, Site(self.params.route, self.params.places), self._pose)
        if mission is None:
            raise ConfigError("there is nothing to continue; say 'patrol the corridor'")
        self._end_mission()
        self._mission = mission
        self._deadline_ns = self.clock.now_ns() + round(mission.wait_s * 1e9)
        self._tell()
        return f"understood: {mission.text}"

    def _end_mission(self, failed: str = "") -> None:
        """Forget the mission; the goal that was under way is called off."""
        self._mission = self._paused = None
        self._going, self._failed = "", failed
        leg, self._leg = self._leg, None
        if leg is not None and leg is not asyncio.current_task():
            leg.cancel()

    def _go_on(self, mission: Mission) -> None:
        if mission.wait_s > 0:
            if self.clock.now_ns() < self._deadline_ns:
                return
            mission.wait_s = 0.0
        target = self._target(mission)
        if target is None:
            self.log.info("mission accomplished", mission=mission.text)
            self._mission = None
            self._done += 1
            return
        self._leg = self.spawn(self._drive(mission, target), name="leg")

    def _target(self, mission: Mission) -> Pose | None:
        """Return where to be next, turned so as it gets there; None at the end."""
        here = self._pose or Pose()
        if mission.turn_to is not None:
            return Pose(here.x_m, here.y_m, mission.turn_to)
        if mission.goal is None:
            return None
        x_m, y_m = mission.goal
        return Pose(x_m, y_m, math.atan2(y_m - here.y_m, x_m - here.x_m))

    async def _drive(self, mission: Mission, target: Pose) -> None:
        """Have one goal carried out; cancelled, the bridge calls it off."""
        goal = as_message(target, self.clock.now_ns())
        ask = self.full_topic(NAVIGATE)
        try:
            answer = await self.call(ask, goal, Ack, timeout_s=self.params.leg_s)
        except BusError as error:
            answer = Ack(ok=False, text=str(error))
        if self._mission is not mission:
            return
        self._leg = None
        if not answer.ok:
            self.log.warning(f"the mission is given up: {answer.text}", mission=mission.text)
            self._end_mission(answer.text)
        elif mission.turn_to is not None:
            mission.turn_to = None
        else:
            mission.reached()

    def _tell(self) -> None:
        told = state_of(self._mission, *self._state(), self._done)
        if is_news(told, self._told, reason_length=_REASON):
            self._told = self.mission_state.publish(told)

    def _state(self) -> tuple[str, str]:
        if self._mission is not None:
            is_waiting = self._mission.wait_s > 0
            return "driving", "waiting as told" if is_waiting else self._going or "asking Nav2"
        if not self._is_permitted:
            return "stopped", "no permission to move; reset it, then give a command"
        return ("failed", self._failed) if self._failed else ("idle", "waiting for a command")
