"""The navigator: carries out a command, steers around things, gives way to people."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from olympus.nodes.corridor import Corridor
from olympus.nodes.manners import Patience, Plan, ease
from olympus.nodes.mission import Mission, Site
from olympus.nodes.neighbours import Neighbours
from olympus.nodes.obeying import Permit, as_said, is_news, obeyed, state_of
from olympus.nodes.odometry import Pose
from olympus.nodes.steering import Body, Disc, Motion, believable, steer
from olympus.nodes.whereabouts import Whereabouts, as_message
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import (
    Ack,
    Command,
    Header,
    Message,
    MissionState,
    Odometry,
    Percept,
    Ranges,
    Twist,
)
from olympus.runtime.messages import Pose as PoseMessage
from olympus.runtime.node import Field, Node, NodeParams, output, service, subscribe, timer
from olympus.runtime.qos import QoS, Tier

NEAR_M = 5.0
"""People farther away than this are no concern yet."""
_REASON = 12
"""So much of a reason is news; what follows may be figures that change all the time."""
PASSING_S = 8.0
"""How long it may take to pass somebody closely."""
STILL = Motion(0.0, 0.0, 0.0, is_blocked=False)


class Navigator(Node):
    """Drives a mission with what is perceived; without fresh percepts it stands still."""

    class Params(NodeParams):
        """Manners, size, and what is known of the site."""

        speed_mps: float = Field(0.4, gt=0, le=1.0, description="Speed with free way ahead.")
        turn_radps: float = Field(1.0, gt=0, le=3.0, description="Fastest turning rate.")
        rate_hz: float = Field(20.0, ge=5, le=50, description="Decisions per second.")
        keep_m: float = Field(1.2, ge=0.5, le=5, description="Distance kept from people.")
        pass_m: float = Field(
            0.85, ge=0.5, le=5, description="The same, when it has waited and now passes slowly."
        )
        pass_mps: float = Field(0.15, gt=0, le=1, description="Speed of passing so closely.")
        courtesy_s: float = Field(
            4.0, gt=0, le=60, description="Held up by people for so long, it passes slowly."
        )
        view_deg: float = Field(
            80.0, gt=10, le=180, description="Width of the view in which people are seen."
        )
        memory_s: float = Field(
            2.0, ge=0, le=10, description="How long somebody who left the view is remembered."
        )
        radius_m: float = Field(0.34, gt=0.1, le=1, description="Half the width that must pass.")
        stop_m: float = Field(0.25, ge=0.05, le=2, description="Room ahead at which it stands.")
        slow_m: float = Field(0.9, ge=0.1, le=5, description="Room ahead for full speed.")
        blind_s: float = Field(
            0.7, gt=0.1, le=5, description="Without a picture looked at for so long it stands."
        )
        sees_s: float = Field(
            0.5, ge=0, le=5, description="Garbled distances must be good again for so long."
        )
        patience_s: float = Field(
            12.0, gt=0, le=120, description="Having got nowhere for so long, a patrol turns round."
        )
        route: list[tuple[float, float]] = Field(
            default=[], description="Way-points of a patrol, map frame, metres."
        )
        places: dict[str, tuple[float, float]] = Field(
            default={}, description="Names that 'go to …' knows, map frame, metres."
        )
        corridor: tuple[float, float, float, float] | None = Field(
            None, description="Walls x0, y0, x1, y1 of a corridor that keep the pose true."
        )
        stop_on_shout: bool = Field(
            True, description="A heard 'stop' trips the guardian, besides ending the mission."
        )

    params: Params
    cmd_vel = output("cmd_vel", Twist, tier=Tier.HIGH, lifetime_s=0.3)
    map_pose = output("pose", PoseMessage, lifetime_s=1.0)
    mission_state = output("mission", MissionState, latched=True)
    said = output("said", Command, is_reliable=True)

    async def on_configure(self) -> None:
        """Start without a mission."""
        self._mission: Mission | None = None
        self._paused: Mission | None = None
        self._ranges: Ranges | None = None
        self._view: Percept | None = None
        view_rad = math.radians(self.params.view_deg)
        self._neighbours = Neighbours(view_rad, self.params.memory_s)
        self._patience = Patience()
        self.turned_back = 0
        """Times that a patrol turned round because it got nowhere."""
        walls = self.params.corridor
        self._where = Whereabouts(Corridor(*walls) if walls is not None else None)
        self._told: MissionState | None = None
        self._done = 0
        self._deadline_ns = 0
        self._clear_ns = 0
        self._decided_ns = 0
        self._permit = Permit(self)
        self._is_permitted = False

    async def on_cleanup(self) -> None:
        """Let go of the lease."""
        self._permit.close()

    @subscribe("odometry")
    def on_odometry(self, odometry: Odometry) -> None:
        """Remember where the wheels say it is."""
        is_first = self._where.odometry is None
        self._where.odometry = odometry
        self.map_pose.publish(as_message(self.pose(), odometry.header.stamp), cause=odometry)
        if is_first and self._mission is not None:  # it was begun without knowing where
            self._mission = Mission(self._mission.command, self._site(), self.pose())

    @subscribe("ranges")
    def on_ranges(self, ranges: Ranges) -> None:
        """Remember the distances; let the corridor's walls, not its people, correct the pose."""
        self._ranges = ranges = dataclasses.replace(ranges, distances_m=believable(ranges))
        self._neighbours.feel(ranges, self._where.reckoned)
        jump_m = self._where.see(self._neighbours.without(ranges, self._where.reckoned))
        if jump_m:
            text = "the walls say that the rover is somewhere else"
            self.log.warning(text, metres=round(jump_m, 1), pose=str(self.pose()))

    @subscribe("percepts", qos=QoS.queue(50))
    async def on_percept(self, percept: Percept) -> None:
        """Take notice of people, views and a shouted stop."""
        if percept.kind == "view":
            self._view = percept
            self.decide()  # what was seen counts now, not at the next tick
        elif percept.kind == "object" and percept.label == "person":
            self._neighbours.note(percept, self._where.reckoned)
        elif percept.kind == "sound" and percept.label == "stop":
            await self._on_shout(percept)

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

    def pose(self) -> Pose:
        """Return where the rover believes to be, map frame."""
        return self._where.pose

    @timer(hz="rate_hz")
    def on_tick(self) -> None:
        """Decide, unless a picture has just led to a decision."""
        since_ns = self.clock.now_ns() - self._decided_ns
        if since_ns >= 0.6e9 / self.params.rate_hz:
            self.decide()

    def decide(self) -> None:
        """Command the wheels by what is known now, and say what is going on."""
        self._notice_stop()
        plan = self._plan()
        if self._mission is not None and self._mission.is_over:
            self.log.info("mission accomplished", mission=self._mission.text)
            self._mission = None
            self._done += 1
        cause: Message | None = self._view
        now = self._decided_ns = self.clock.now_ns()
        twist = Twist(
            header=Header(stamp=now),
            linear_mps=plan.motion.linear_mps,
            angular_radps=plan.motion.angular_radps,
        )
        self.cmd_vel.publish(twist, cause=cause)
        self._tell(plan)

    def _take_on(self, command: Command) -> str:
        if command.verb == "stop":
            self._paused, self._mission = self._mission or self._paused, None
            return "standing; say 'continue' to go on"
        if not self._permit.look():  # else a later reset would cause motion, which it must not
            raise ConfigError("motion is stopped; reset it, then say it again")
        if command.verb == "continue":
            if self._paused is None:
                raise ConfigError("there is nothing to continue; say 'patrol the corridor'")
            self._mission, self._paused = self._paused, None
            self._patience.restart()
            return f"going on: {self._mission.text}"
        self._mission, self._paused = Mission(command, self._site(), self.pose()), None
        self._patience.restart()
        self._deadline_ns = self.clock.now_ns() + round(self._mission.wait_s * 1e9)
        return f"understood: {command.text}"

    def _notice_stop(self) -> None:
        """After a stop nothing goes on by itself: the mission is gone, a new command is needed."""
        self._is_permitted = self._permit.look()
        if self._is_permitted:
            return
        if self._mission is not None:
            self.log.warning("stopped: the mission is cleared", mission=self._mission.text)
        self._mission = self._paused = None

    def _plan(self) -> Plan:
        if not self._is_permitted:
            return Plan(STILL, "stopped", "no permission to move; reset it, then give a command")
        mission = self._mission
        if mission is None:
            return Plan(STILL, "idle", "waiting for a command")
        if mission.wait_s > 0:
            if self.clock.now_ns() >= self._deadline_ns:
                mission.wait_s = 0.0
            return Plan(STILL, "driving", "waiting as told")
        if blind := self._blindness():
            self._patience.restart()
            return Plan(STILL, "blind", blind)
        if mission.turn_to is not None:
            return self._plan_turn(mission, mission.turn_to)
        return self._plan_drive(mission)

    def _blindness(self) -> str:
        if self._is_old(self._view):
            return "no picture was looked at lately"
        if self._ranges is None or self._is_old(self._ranges):
            return "no distances were measured lately"
        if self._is_old(self._where.odometry):
            return "no odometry lately"
        if self._is_garbled(self._ranges):
            return "most range sensors give nothing to believe"
        return ""

    def _is_garbled(self, ranges: Ranges) -> bool:
        """Garbage is believable for a moment now and then, by chance, which must move nothing."""
        now_ns = self.clock.now_ns()
        if not np.isfinite(ranges.distances_m).mean() > 0.5:
            self._clear_ns = now_ns + round(self.params.sees_s * 1e9)
        return now_ns < self._clear_ns

    def _is_old(self, sense: Message | None) -> bool:
        # A stamp as far ahead is no better: it would count as fresh long after the sense is gone.
        limit_ns = self.params.blind_s * 1e9
        return sense is None or abs(self.clock.now_ns() - sense.header.stamp) > limit_ns

    def _plan_turn(self, mission: Mission, target: float) -> Plan:
        error = math.remainder(target - self.pose().yaw_rad, math.tau)
        if abs(error) < math.radians(4):
            mission.turn_to = None
            return Plan(STILL, "driving", "turned")
        rate = max(-self.params.turn_radps, min(self.params.turn_radps, 2 * error))
        return Plan(Motion(0.0, rate, 0.0, is_blocked=False), "driving", "turning")

    def _plan_drive(self, mission: Mission) -> Plan:
        pose, goal = self.pose(), mission.goal
        while mission.has_reached(pose):
            mission.reached()
            goal = mission.goal
        if goal is None or self._ranges is None:
            return Plan(STILL, "idle", "there")
        bearing = math.atan2(goal[1] - pose.y_m, goal[0] - pose.x_m) - pose.yaw_rad
        now, here = self.clock.now_ns(), self._where.reckoned
        people = [n for n in self._neighbours.around(here, now) if n.distance_m < NEAR_M]
        is_passing = self._patience.is_passing(now)
        keep_m = self.params.pass_m if is_passing else self.params.keep_m
        motion = steer(
            math.remainder(bearing, math.tau),
            self._ranges.bearings_rad.astype(np.float64),
            self._ranges.distances_m.astype(np.float64),
            self._body(),
            [Disc(n.bearing_rad, n.distance_m, keep_m) for n in people],
        )
        gap_m = min((n.gap_m for n in people), default=math.inf)
        self._lose_patience(mission, gap_m, self._patience.waited_s(here, now))
        fastest_mps = self.params.pass_mps if is_passing else self.params.speed_mps
        return ease(motion, gap_m, self.params.keep_m, fastest_mps)

    def _site(self) -> Site:
        return Site(self.params.route, self.params.places)

    def _body(self) -> Body:
        p = self.params
        return Body(p.radius_m, p.stop_m, p.slow_m, p.speed_mps, p.turn_radps)

    def _lose_patience(self, mission: Mission, gap_m: float, waited_s: float) -> None:
        """Held up by people, pass them more closely; getting nowhere at all, try the other way."""
        now, is_near = self.clock.now_ns(), gap_m < self.params.keep_m + 1.0
        if waited_s > self.params.courtesy_s and is_near and not self._patience.is_passing(now):
            self._patience.begin_passing(now, PASSING_S)
        elif waited_s > self.params.patience_s:
            self._patience.restart()
            if mission.turn_back():
                self.turned_back += 1
                self.log.info(f"no way on for {waited_s:.0f} s; turning round")

    async def _on_shout(self, percept: Percept) -> None:
        self._mission = self._paused = None
        self.cmd_vel.publish(
            Twist(header=Header(stamp=self.clock.now_ns()), linear_mps=0.0, angular_radps=0.0),
            cause=percept,
        )
        if self.params.stop_on_shout:
            await self._permit.stop(percept)

    def _tell(self, plan: Plan) -> None:
        state = state_of(self._mission, plan.state, plan.reason, self._done)
        if is_news(state, self._told, reason_length=_REASON):
            self._told = self.mission_state.publish(state)
