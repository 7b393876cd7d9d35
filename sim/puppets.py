"""From a walking person to the bodies that show it."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from olympus.sim import figures
from olympus.sim.people import Person


def limb_slots(model: mujoco.MjModel, people: int) -> list[list[int]]:
    """Find the mocap slots of each person: trunk, legs left and right, arms left and right."""
    parts = ("", ".leg.left", ".leg.right", ".arm.left", ".arm.right")
    return [
        [int(model.body(f"person.{i}{part}").mocapid[0]) for part in parts] for i in range(people)
    ]


def pose_person(data: mujoco.MjData, person: Person, slots: list[int]) -> None:
    """Move a person's bodies to where the person is, with the limbs at their phase."""
    swing = 0.52 * min(1.0, person.speed_mps / 0.8) * math.sin(person.gait)
    bob = 0.015 * abs(math.cos(person.gait)) * (person.speed_mps > 0.05)
    hip, shoulder = figures.HIP_HALF_M, figures.SHOULDER_HALF_M
    limbs = (
        (0.0, 0.0, 0.0),
        (hip, figures.HIP_M, swing),
        (-hip, figures.HIP_M, -swing),
        (shoulder, figures.SHOULDER_M, -0.8 * swing),
        (-shoulder, figures.SHOULDER_M, 0.8 * swing),
    )
    cos, sin = math.cos(person.yaw), math.sin(person.yaw)
    for slot, (left, height, pitch) in zip(slots, limbs, strict=True):
        place = (person.x - sin * left, person.y + cos * left, height + bob)
        data.mocap_pos[slot] = place
        data.mocap_quat[slot] = _yaw_then_pitch(person.yaw, pitch)


def _yaw_then_pitch(yaw: float, pitch: float) -> NDArray[np.float64]:
    """(4,) quaternion w, x, y, z: turned by `yaw` about z, then by `pitch` about the new y."""
    cy, sy = math.cos(yaw / 2), math.sin(yaw / 2)
    cp, sp = math.cos(pitch / 2), math.sin(pitch / 2)
    return np.array([cy * cp, -sy * sp, cy * sp, sy * cp])
