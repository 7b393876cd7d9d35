"""The world: building, rover, people and happenings, stepped together and fully repeatable.

Same seed, same commands, same calls: the same state and the same pictures, bit for bit. A world is
used by one thread; only `command`, `neutral`, `happen` and `faults.set` may be called from any.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from olympus.sim import figures, floorplan
from olympus.sim.building import build
from olympus.sim.faults import Faults
from olympus.sim.glcam import GlCamera, require_gl
from olympus.sim.happenings import REPEAT_NS, REPEATS, SOUNDS, SPOKEN, Event, Happenings
from olympus.sim.people import Crowd, Person, Point, Walk, draw_walks
from olympus.sim.puppets import limb_slots, pose_person
from olympus.sim.raycam import RayCamera, View
from olympus.sim.rover import Measurement, Pose, Rover

Renderer = Literal["rays", "gl"]

TICK_NS = 20_000_000
TICK_S = 0.02
SUBSTEPS = 4
COLLISION_PAUSE_NS = 500_000_000
"""Touching the same thing again within this time is the same collision."""
EARSHOT_M = 5.0
WATCHED_DOOR = "store"
"""The room whose door has a contact."""


class World:
    """Everything that is simulated."""

    def __init__(
        self,
        seed: int,
        *,
        people: int = 3,
        start: tuple[float, float, float] = floorplan.START_POSE,
        walks: Sequence[Walk] | None = None,
        events: Sequence[Event] = (),
        camera_px: tuple[int, int] = (160, 120),
        command_timeout_s: float | None = None,
        renderer: Renderer = "rays",
    ) -> None:
        """Build the variant of the world that belongs to `seed`.

        Args:
            seed: Chooses layout, colours, people and all noise.
            people: How many walk about, if `walks` is not given.
            start: x, y, yaw of the rover.
            walks: What each person does; None invents it.
            events: What happens by itself, and when.
            camera_px: Width and height of the rover's pictures.
            command_timeout_s: The motors brake when no command came for so long; None holds the
                last command for ever.
            renderer: `rays` needs nothing; `gl` needs OpenGL, see glcam.py.

        Raises:
            DeviceError: The renderer is `gl` and there is no OpenGL.
        """
        if renderer == "gl":
            require_gl()
        self.building = build(seed, people=len(walks) if walks is not None else people)
        self.plan = self.building.plan
        self.model, self.data = self.building.model, mujoco.MjData(self.building.model)
        self.seed, self.time_ns, self.collisions = seed, 0, 0
        self.faults = Faults()
        self.rover = Rover(self.model, self.data, seed)
        self.rover.place(Pose(*start))
        chosen = walks if walks is not None else draw_walks(self.plan, people, seed)
        self.crowd = Crowd.of(self.plan, chosen)
        self.happenings = Happenings(seed)
        self._events = sorted(events, key=lambda e: e.at_s)
        self._timeout_s, self._commanded_ns = command_timeout_s, 0
        self._rest_ns = 0
        self._touched_ns: dict[int, int] = {}
        self._camera_px = camera_px
        self._renderer = renderer
        self._gl_cameras: dict[tuple[int, int], GlCamera] = {}
        self._cameras: dict[tuple[int, int], RayCamera] = {}
        self._last_views: dict[tuple[int, int], View] = {}
        self._limbs = limb_slots(self.model, len(self.crowd.people))
        self._pose_people()
        mujoco.mj_forward(self.model, self.data)
        self.measurement: Measurement = self.rover.measure(0.0, 0, self.faults)

    @property
    def time_s(self) -> float:
        """World time in seconds."""
        return self.time_ns / 1e9

    @property
    def people(self) -> list[Person]:
        """Everybody in the building."""
        return self.crowd.people

    def command(self, left_radps: float, right_radps: float) -> None:
        """Ask for wheel speeds, rad/s, positive ahead."""
        self._commanded_ns = self.time_ns
        self.rover.command(left_radps, right_radps)

    def neutral(self) -> None:
        """Brake both wheels to a stand."""
        self.rover.neutral()

    def step(self, dt: float) -> None:
        """Advance by `dt` seconds, in whole ticks of 20 ms; the rest is kept for the next call."""
        self._rest_ns += round(dt * 1e9)
        while self._rest_ns >= TICK_NS:
            self._rest_ns -= TICK_NS
            self.tick()

    def tick(self) -> None:
        """Advance by one tick of 20 ms."""
        while self._events and self._events[0].at_s <= self.time_s:
            self.happen(self._events.pop(0).name)
        overdue = self.time_ns - self._commanded_ns
        if self._timeout_s is not None and overdue > self._timeout_s * 1e9:
            self.rover.neutral()
        pose = self.rover.pose
        self.crowd.step(TICK_S, (pose.x, pose.y))
        self._pose_people()
        self.happenings.step(TICK_S, self.time_s)
        self.rover.drive(TICK_S, self.faults)
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        mujoco.mj_kinematics(self.model, self.data)
        self.time_ns += TICK_NS
        self._count_collisions()
        self.measurement = self.rover.measure(TICK_S, self.time_ns, self.faults)

    def happen(self, name: str) -> None:
        """Let an event happen now.

        Words come from the nearest person within `EARSHOT_M`, else, as all other sounds, from
        somewhere three metres away.

        Raises:
            ConfigError: There is no such event.
        """
        if name in SOUNDS:
            self._sound(name)
        else:
            self.happenings.do(name)

    def _sound(self, name: str) -> None:
        pose = self.rover.pose
        rng = random.Random(f"{self.seed} {name} {self.time_ns}")
        angle = rng.uniform(-math.pi, math.pi)
        where: Point = (pose.x + 3 * math.cos(angle), pose.y + 3 * math.sin(angle))
        if name in SPOKEN:
            spots = [(p.x, p.y) for p in self.people]
            near = min(spots, key=lambda p: math.dist(p, (pose.x, pose.y)), default=where)
            where = near if math.dist(near, (pose.x, pose.y)) < EARSHOT_M else where
        for i in range(REPEATS.get(name, 1)):
            start_ns = self.time_ns + i * REPEAT_NS
            self.happenings.make_sound(SOUNDS[name], start_ns, where)

    @property
    def is_door_open(self) -> bool:
        """Whether the watched door stands open: someone is in it, or holds it open."""
        x = self.plan.room(WATCHED_DOOR).door_x
        y = self.plan.room(WATCHED_DOOR).side * floorplan.HALF_WIDTH_M
        passing = any(math.dist((p.x, p.y), (x, y)) < 1.0 for p in self.people)
        return passing or self.happenings.is_door_held_open

    def look(self, width: int | None = None, height: int | None = None) -> View:
        """Take a picture with the rover's camera, as its faults let it.

        Args:
            width: Columns, even; None for `camera_px`.
            height: Rows, even; None for `camera_px`.
        """
        size = (width or self._camera_px[0], height or self._camera_px[1])
        if self.faults.camera_frozen and size in self._last_views:
            return self._last_views[size]
        if size not in self._cameras:
            self._cameras[size] = RayCamera(self.building, width=size[0], height=size[1])
        position, rotation = self.rover.eye()
        tick = self.time_ns // TICK_NS
        view = self._cameras[size].look(self.data, position, rotation, tick=tick)
        if self._renderer == "gl":
            view = replace(view, rgb=self._gl_picture(size))
        self._last_views[size] = view = self._spoil(view, tick)
        return view

    def _gl_picture(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        if size not in self._gl_cameras:
            self._gl_cameras[size] = GlCamera(self.building, *size)
        return self._gl_cameras[size].picture(self.data)

    def _spoil(self, view: View, tick: int) -> View:
        """Return what the camera's faults leave of a picture."""
        if self.faults.camera_black:
            return replace(view, rgb=np.zeros_like(view.rgb))
        if self.faults.camera_garbage:
            noise = np.random.default_rng([self.seed, 31, tick])
            return replace(view, rgb=noise.integers(0, 256, view.rgb.shape, np.uint8))
        return view

    def place_rover(self, x: float, y: float, yaw: float) -> None:
        """Put the rover somewhere, at rest; metres and radians, world frame."""
        self.rover.place(Pose(x, y, yaw))
        mujoco.mj_forward(self.model, self.data)

    def place_person(self, index: int, x: float, y: float, yaw: float, gait: float = 0.0) -> None:
        """Put a person somewhere, with the legs at phase `gait` of a stride."""
        person = self.people[index]
        person.x, person.y, person.yaw, person.gait = x, y, yaw, gait
        person.speed_mps = person.walk.speed_mps
        self._pose_people()
        mujoco.mj_kinematics(self.model, self.data)

    def scatter(self, seed: int) -> None:
        """Put the rover and everybody at random free places, mostly in the rover's view."""
        rng = random.Random(f"scatter {self.seed} {seed}")
        self._scatter_rover(rng)
        for i in range(len(self.people)):
            spot = self._random_place(rng, None)
            for _ in range(30):
                away, side = rng.uniform(0.9, 7.0), rng.uniform(-0.65, 0.65)
                pose = self.rover.pose
                near = (
                    pose.x + away * math.cos(pose.yaw + side),
                    pose.y + away * math.sin(pose.yaw + side),
                )
                if rng.random() < 0.9 and self.plan.is_free(*near):
                    spot = near
                    break
            self.place_person(i, *spot, rng.uniform(-3.14, 3.14), rng.uniform(0, 6.28))

    def _scatter_rover(self, rng: random.Random) -> None:
        """Choose a pose that rarely stares at a wall."""
        for _ in range(30):
            x, y = self._random_place(rng, floorplan.CORRIDOR if rng.random() < 0.8 else None)
            yaw = rng.choice((0.0, math.pi)) + rng.gauss(0.0, 0.5)
            yaw = yaw if rng.random() < 0.7 else rng.uniform(-math.pi, math.pi)
            ahead = [(x + r * math.cos(yaw), y + r * math.sin(yaw)) for r in (0.5, 0.9, 1.3, 1.8)]
            if rng.random() < 0.06 or all(self.plan.is_floor(*spot, 0.0) for spot in ahead):
                break
        self.place_rover(x, y, yaw)

    def _random_place(self, rng: random.Random, area: floorplan.Rect | None) -> Point:
        while True:
            box = area or rng.choice([floorplan.CORRIDOR, *(r.area for r in self.plan.rooms)])
            spot = rng.uniform(box.x0, box.x1), rng.uniform(box.y0, box.y1)
            if self.plan.is_free(*spot, 0.35):
                return spot

    def digest(self) -> str:
        """Hash everything that moves, for comparing two runs."""
        state = hashlib.sha256()
        for array in (self.data.qpos, self.data.qvel, self.data.sensordata, self.data.mocap_pos):
            state.update(array.tobytes())
        state.update(self.measurement.ranges_m.tobytes())
        state.update(repr((self.time_ns, self.collisions, self.people, self.happenings)).encode())
        return state.hexdigest()

    def _count_collisions(self) -> None:
        """Count contacts of the rover's body with anything but the floor."""
        count = int(self.data.ncon)
        if count == 0:
            return
        for one, other in self.data.contact.geom[:count]:
            if self.model.geom_group[one] == figures.GROUP_ROVER:
                one, other = other, one
            if self.model.geom_group[one] == figures.GROUP_FLOOR:
                continue
            last = self._touched_ns.get(int(one))
            self._touched_ns[int(one)] = self.time_ns
            if last is None or self.time_ns - last > COLLISION_PAUSE_NS:
                self.collisions += 1
                pose = self.rover.pose
                self.happenings.make_sound("crash", self.time_ns, (pose.x, pose.y))

    def _pose_people(self) -> None:
        for person, slots in zip(self.people, self._limbs, strict=True):
            pose_person(self.data, person, slots)
