"""MJCF snippets of what stands and walks in the building: furniture, people, the rover."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from olympus.sim import palette
from olympus.sim.floorplan import Thing
from olympus.sim.palette import Rgb

GROUP_STATIC = 0
"""Walls, doors, furniture: seen by camera and range sensors, solid."""
GROUP_PEOPLE = 1
"""What a camera sees of people."""
GROUP_ROVER = 2
GROUP_HULLS = 3
"""Solid cylinders around people, for range sensors and collisions; no camera sees them."""
GROUP_FLOOR = 4

HULL_RADIUS_M = 0.24
HIP_M = 0.86
SHOULDER_M = 1.40
SHOULDER_HALF_M = 0.21
HIP_HALF_M = 0.09

WHEEL_RADIUS_M = 0.08
TRACK_M = 0.34
CAMERA_HEIGHT_M = 0.46
CAMERA_FORWARD_M = 0.14
CAMERA_FOV_DEG = 80.0
"""From the left edge to the right."""
CAMERA_TILT_RAD = 0.12
"""Up, so that a face fits into the picture at two metres."""
RANGE_HEIGHT_M = 0.22
ROVER_RADIUS_M = 0.26


def geom(name: str, shape: str, size: str, rgb: Rgb, **more: str) -> str:
    """Write one `<geom>`; further attributes as keywords."""
    rgba = " ".join(f"{channel:.3f}" for channel in rgb)
    extra = "".join(f' {key}="{value}"' for key, value in more.items())
    return f'<geom name="{name}" type="{shape}" size="{size}" rgba="{rgba} 1"{extra}/>'


def furniture(index: int, thing: Thing) -> str:
    """Write the body of a piece of furniture."""
    rng = random.Random(f"thing {index} {thing.x} {thing.y}")
    parts = {
        "box": _box,
        "bin": _bin,
        "chair": _chair,
        "plant": _plant,
        "table": _table,
        "cabinet": _cabinet,
        "cone": _cone,
    }[thing.kind](rng)
    geoms = "".join(
        geom(f"thing.{index}.{i}", shape, size, rgb, pos=pos)
        for i, (shape, size, pos, rgb) in enumerate(parts)
    )
    return (
        f'<body name="thing.{index}" pos="{thing.x} {thing.y} 0" '
        f'euler="0 0 {thing.yaw}">{geoms}</body>'
    )


Part = tuple[str, str, str, Rgb]


def _box(rng: random.Random) -> Iterator[Part]:
    side, height = rng.uniform(0.15, 0.18), rng.uniform(0.16, 0.26)
    colour = rng.choice(palette.CARDBOARD)
    yield "box", f"{side} {side} {height}", f"0 0 {height}", colour
    tape = (0.92, 0.86, 0.70)
    yield "box", f"{side + 0.004} 0.025 {height + 0.004}", f"0 0 {height}", tape
    if rng.random() < 0.4:
        yield "box", "0.11 0.11 0.1", f"0.02 0 {2 * height + 0.1}", rng.choice(palette.CARDBOARD)


def _bin(rng: random.Random) -> Iterator[Part]:
    colour = rng.choice(palette.BINS)
    yield "cylinder", "0.17 0.27", "0 0 0.27", colour
    lid: Rgb = tuple(c * 0.6 for c in colour)  # type: ignore[assignment]
    yield "cylinder", "0.19 0.03", "0 0 0.56", lid


def _chair(rng: random.Random) -> Iterator[Part]:
    seat, leg = rng.choice(palette.SEATS), (0.25, 0.25, 0.27)
    yield "box", "0.21 0.21 0.03", "0 0 0.45", seat
    yield "box", "0.025 0.20 0.22", "-0.20 0 0.72", seat
    for x, y in ((-0.18, -0.18), (-0.18, 0.18), (0.18, -0.18), (0.18, 0.18)):
        yield "box", "0.02 0.02 0.21", f"{x} {y} 0.21", leg


def _plant(rng: random.Random) -> Iterator[Part]:
    green = (rng.uniform(0.16, 0.28), rng.uniform(0.45, 0.60), rng.uniform(0.18, 0.28))
    pot = rng.choice(((0.72, 0.38, 0.26), (0.90, 0.88, 0.84), (0.30, 0.34, 0.38)))
    height = rng.uniform(0.7, 1.05)
    yield "cylinder", "0.15 0.15", "0 0 0.15", pot
    yield "ellipsoid", f"0.22 0.20 {height / 3}", f"0 0 {height * 0.72}", green
    dark: Rgb = (green[0] * 0.75, green[1] * 0.8, green[2] * 0.75)
    yield "ellipsoid", "0.14 0.16 0.18", f"0.07 -0.05 {height}", dark


def _table(rng: random.Random) -> Iterator[Part]:
    wood = rng.choice(palette.WOODS)
    yield "box", "0.65 0.36 0.025", "0 0 0.73", wood
    for x in (-0.58, 0.58):
        yield "box", "0.03 0.32 0.35", f"{x} 0 0.35", (0.35, 0.35, 0.37)
    yield "box", "0.20 0.02 0.14", "0.1 0.1 0.92", (0.12, 0.13, 0.15)


def _cabinet(rng: random.Random) -> Iterator[Part]:
    wood, height = rng.choice((*palette.WOODS, (0.82, 0.84, 0.86))), rng.uniform(0.55, 0.9)
    yield "box", f"0.42 0.22 {height}", f"0 0 {height}", wood
    front: Rgb = (wood[0] * 0.85, wood[1] * 0.85, wood[2] * 0.85)
    for x in (-0.21, 0.21):
        yield "box", f"0.19 0.235 {height * 0.9}", f"{x} 0 {height}", front


def _cone(rng: random.Random) -> Iterator[Part]:
    orange, white = (0.95, rng.uniform(0.40, 0.48), 0.12), (0.96, 0.96, 0.94)
    yield "box", "0.17 0.17 0.02", "0 0 0.02", orange
    yield "cylinder", "0.12 0.10", "0 0 0.14", orange
    yield "cylinder", "0.09 0.07", "0 0 0.31", white
    yield "capsule", "0.055 0.09", "0 0 0.45", orange


def person(index: int, seed: int) -> str:
    """Write a person as mocap bodies: trunk with head, and four limbs that swing."""
    rng = random.Random(f"person {seed} {index}")
    skin, hair = rng.choice(palette.SKINS), rng.choice(palette.HAIRS)
    shirt, trousers = rng.choice(palette.SHIRTS), rng.choice(palette.TROUSERS)
    sleeve = shirt if rng.random() < 0.5 else skin
    name, visual = f"person.{index}", {"group": str(GROUP_PEOPLE), "conaffinity": "0"}
    trunk = [
        geom(f"{name}.belly", "ellipsoid", "0.125 0.165 0.30", shirt, pos="0 0 1.12", **visual),
        geom(f"{name}.hips", "ellipsoid", "0.115 0.155 0.13", trousers, pos="0 0 0.88", **visual),
        geom(
            f"{name}.chest", "capsule", "0.085", shirt, fromto="0 -0.13 1.35 0 0.13 1.35", **visual
        ),
        geom(f"{name}.neck", "capsule", "0.055", skin, fromto="0 0 1.38 0.01 0 1.52", **visual),
        geom(f"{name}.head", "ellipsoid", "0.10 0.085 0.125", skin, pos="0.02 0 1.60", **visual),
        geom(
            f"{name}.hair", "ellipsoid", "0.105 0.095 0.105", hair, pos="-0.015 0 1.655", **visual
        ),
        geom(
            f"{name}.hull",
            "cylinder",
            f"{HULL_RADIUS_M} 0.85",
            skin,
            pos="0 0 0.86",
            group=str(GROUP_HULLS),
        ),
    ]
    if rng.random() < 0.4:
        pack = rng.choice(palette.SHIRTS)
        trunk.append(
            geom(f"{name}.pack", "box", "0.06 0.12 0.17", pack, pos="-0.16 0 1.20", **visual)
        )
    bodies = [f'<body name="{name}" mocap="true">{"".join(trunk)}</body>']
    for side in ("left", "right"):
        bodies.append(_limb(f"{name}.leg.{side}", _leg(trousers), visual))
        bodies.append(_limb(f"{name}.arm.{side}", _arm(sleeve, skin), visual))
    return "".join(bodies)


def _leg(trousers: Rgb) -> Iterator[tuple[str, str, Rgb, dict[str, str]]]:
    yield "capsule", "0.078", trousers, {"fromto": "0 0 -0.02 0 0 -0.72"}
    yield "ellipsoid", "0.13 0.06 0.05", (0.13, 0.12, 0.12), {"pos": "0.05 0 -0.81"}


def _arm(sleeve: Rgb, skin: Rgb) -> Iterator[tuple[str, str, Rgb, dict[str, str]]]:
    yield "capsule", "0.052", sleeve, {"fromto": "0 0 -0.02 0.02 0 -0.44"}
    yield "sphere", "0.058", skin, {"pos": "0.03 0 -0.54"}


def _limb(
    name: str, parts: Iterator[tuple[str, str, Rgb, dict[str, str]]], visual: dict[str, str]
) -> str:
    geoms = "".join(
        geom(f"{name}.{i}", shape, size, rgb, **where, **visual)
        for i, (shape, size, rgb, where) in enumerate(parts)
    )
    return f'<body name="{name}" mocap="true">{geoms}</body>'


def rover() -> str:
    """Write the rover: chassis, mast, two driven wheels, two casters, sites of its sensors."""
    look = {"group": str(GROUP_ROVER), "contype": "1", "conaffinity": "0"}
    ghost = {"group": str(GROUP_ROVER), "contype": "0", "conaffinity": "0", "mass": "0.05"}
    caster = {**look, "condim": "1", "priority": "1", "mass": "0.1"}
    dark, shell = (0.16, 0.18, 0.21), (0.95, 0.62, 0.16)
    parts = [
        geom("rover.chassis", "box", "0.20 0.14 0.045", dark, pos="0 0 0.115", mass="6", **look),
        geom("rover.shell", "box", "0.17 0.13 0.03", shell, pos="0 0 0.19", mass="1", **look),
        geom("rover.mast", "cylinder", "0.015 0.11", dark, pos="0.12 0 0.33", **ghost),
        geom("rover.eye", "box", "0.02 0.05 0.025", dark, pos=f"0.12 0 {CAMERA_HEIGHT_M}", **ghost),
        geom("rover.caster.front", "sphere", "0.03", dark, pos="0.17 0 0.03", **caster),
        geom("rover.caster.back", "sphere", "0.03", dark, pos="-0.17 0 0.03", **caster),
    ]
    wheels = "".join(_wheel(side, sign, look) for side, sign in (("left", 1), ("right", -1)))
    return (
        '<body name="rover" pos="0 0 0"><freejoint name="rover"/>'
        f'{"".join(parts)}<site name="imu" pos="0 0 0.1"/>{_eye()}{wheels}</body>'
    )


def _eye() -> str:
    """Write the camera for OpenGL; the ray camera computes the same pose by itself."""
    tilt = CAMERA_TILT_RAD
    axes = f"0 -1 0 {-math.sin(tilt)} 0 {math.cos(tilt)}"
    fovy = math.degrees(2 * math.atan(math.tan(math.radians(CAMERA_FOV_DEG) / 2) * 0.75))
    where = f"{CAMERA_FORWARD_M} 0 {CAMERA_HEIGHT_M}"
    return f'<camera name="eye" pos="{where}" xyaxes="{axes}" fovy="{fovy}"/>'


def _wheel(side: str, sign: int, look: dict[str, str]) -> str:
    tyre = geom(
        f"rover.wheel.{side}",
        "cylinder",
        f"{WHEEL_RADIUS_M} 0.02",
        (0.1, 0.1, 0.1),
        euler="1.5707963 0 0",
        mass="0.4",
        friction="1.2 0.005 0.0001",
        **look,
    )
    return (
        f'<body name="wheel.{side}" pos="0 {sign * TRACK_M / 2} {WHEEL_RADIUS_M}">'
        f'<joint name="{side}" type="hinge" axis="0 1 0" damping="0.02" armature="0.01"/>'
        f"{tyre}</body>"
    )
