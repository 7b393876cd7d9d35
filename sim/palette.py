"""The seeded colours of a building variant: paint, floor, light, clothes."""

from __future__ import annotations

import random
from dataclasses import dataclass

Rgb = tuple[float, float, float]
"""Red, green, blue, 0..1."""

WALLS: tuple[Rgb, ...] = (
    (0.93, 0.91, 0.86),
    (0.90, 0.93, 0.94),
    (0.95, 0.92, 0.84),
    (0.88, 0.91, 0.87),
    (0.92, 0.88, 0.88),
    (0.97, 0.96, 0.94),
)
BANDS: tuple[Rgb, ...] = (
    (0.42, 0.58, 0.68),
    (0.55, 0.66, 0.52),
    (0.72, 0.56, 0.45),
    (0.50, 0.52, 0.64),
    (0.66, 0.65, 0.60),
    (0.36, 0.55, 0.55),
)
STRIPES: tuple[Rgb, ...] = (
    (0.95, 0.76, 0.25),
    (0.16, 0.30, 0.45),
    (0.85, 0.36, 0.25),
    (0.98, 0.98, 0.98),
)
DOORS: tuple[Rgb, ...] = (
    (0.58, 0.38, 0.22),
    (0.20, 0.42, 0.62),
    (0.80, 0.30, 0.24),
    (0.24, 0.52, 0.40),
    (0.86, 0.68, 0.28),
    (0.46, 0.36, 0.58),
)
FLOORS: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.74, 0.72, 0.68), (0.60, 0.58, 0.55)),
    ((0.66, 0.70, 0.73), (0.52, 0.57, 0.61)),
    ((0.71, 0.58, 0.43), (0.61, 0.48, 0.34)),
    ((0.58, 0.62, 0.58), (0.50, 0.54, 0.50)),
    ((0.80, 0.78, 0.74), (0.70, 0.42, 0.34)),
)
SKINS: tuple[Rgb, ...] = (
    (0.96, 0.80, 0.69),
    (0.87, 0.67, 0.52),
    (0.70, 0.50, 0.36),
    (0.48, 0.33, 0.24),
)
HAIRS: tuple[Rgb, ...] = (
    (0.12, 0.09, 0.08),
    (0.32, 0.20, 0.11),
    (0.72, 0.55, 0.30),
    (0.55, 0.54, 0.53),
    (0.50, 0.22, 0.12),
)
SHIRTS: tuple[Rgb, ...] = (
    (0.84, 0.20, 0.20),
    (0.16, 0.38, 0.72),
    (0.20, 0.56, 0.34),
    (0.94, 0.74, 0.20),
    (0.54, 0.26, 0.60),
    (0.94, 0.94, 0.92),
    (0.20, 0.22, 0.26),
    (0.93, 0.50, 0.20),
    (0.40, 0.68, 0.76),
    (0.88, 0.56, 0.64),
)
TROUSERS: tuple[Rgb, ...] = (
    (0.17, 0.21, 0.34),
    (0.15, 0.15, 0.17),
    (0.42, 0.36, 0.28),
    (0.36, 0.40, 0.45),
    (0.30, 0.34, 0.24),
)
CARDBOARD: tuple[Rgb, ...] = (
    (0.72, 0.53, 0.33),
    (0.80, 0.62, 0.42),
    (0.30, 0.45, 0.70),
    (0.60, 0.60, 0.62),
)
BINS: tuple[Rgb, ...] = (
    (0.25, 0.47, 0.30),
    (0.30, 0.32, 0.36),
    (0.16, 0.36, 0.60),
    (0.75, 0.68, 0.20),
)
SEATS: tuple[Rgb, ...] = (
    (0.76, 0.26, 0.22),
    (0.20, 0.36, 0.56),
    (0.30, 0.30, 0.32),
    (0.24, 0.50, 0.46),
    (0.88, 0.62, 0.22),
)
WOODS: tuple[Rgb, ...] = ((0.66, 0.48, 0.30), (0.80, 0.66, 0.48), (0.45, 0.31, 0.20))


@dataclass(frozen=True, slots=True)
class Palette:
    """What one variant of the building is painted with."""

    wall: Rgb
    band: Rgb
    stripe: Rgb
    floor_light: Rgb
    floor_dark: Rgb
    ceiling: Rgb
    doors: tuple[Rgb, ...]
    """One for each room."""
    tile_m: float
    brightness: float
    """Overall exposure, about 0.8..1.15."""
    warmth: float
    """-1 cool daylight .. +1 warm lamp."""


def mix_palette(seed: int) -> Palette:
    """Choose the colours that belong to `seed`."""
    rng = random.Random(f"palette {seed}")
    floor_light, floor_dark = rng.choice(FLOORS)
    doors = tuple(rng.sample(DOORS, 6))
    return Palette(
        wall=rng.choice(WALLS),
        band=rng.choice(BANDS),
        stripe=rng.choice(STRIPES),
        floor_light=floor_light,
        floor_dark=floor_dark,
        ceiling=(0.95, 0.95, 0.93),
        doors=doors,
        tile_m=rng.choice((0.4, 0.5, 0.6)),
        brightness=rng.uniform(0.85, 1.12),
        warmth=rng.uniform(-1.0, 1.0),
    )
