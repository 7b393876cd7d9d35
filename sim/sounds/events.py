"""Sounds that mean something without words: siren, crash, clap, glass, alarm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from olympus.sim.sounds.noise import coloured

Wave = NDArray[np.float64]
Rng = np.random.Generator


def siren(rng: Rng, rate_hz: int) -> Wave:
    """Sweep a tone with overtones up and down, or between two notes."""
    n = int(rng.uniform(1.2, 2.0) * rate_hz)
    t = np.arange(n) / rate_hz
    low, high = rng.uniform(450, 750), rng.uniform(1000, 1600)
    kind = str(rng.choice(["wail", "yelp", "two-tone"]))
    speed = {"wail": rng.uniform(0.3, 0.8), "yelp": rng.uniform(2.0, 4.5)}.get(kind, 1.0)
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * (speed * t + rng.uniform()))
    if kind == "two-tone":
        low, high = rng.uniform(420, 650), rng.uniform(700, 1000)
        wave = ((t * rng.uniform(0.8, 2.2) + rng.uniform()) % 1.0 < 0.5).astype(np.float64)
    phase = 2 * np.pi * np.cumsum(low + (high - low) * wave) / rate_hz
    tone = sum(np.sin(k * phase) * rng.uniform(0.5, 1.0) / k**1.3 for k in range(1, 6))
    return np.asarray(tone) * _edges(n, rate_hz)


def alarm(rng: Rng, rate_hz: int) -> Wave:
    """Beep a steady high tone, as smoke detectors and reversing machines do."""
    n = int(rng.uniform(1.2, 2.0) * rate_hz)
    t = np.arange(n) / rate_hz
    tone_hz, beeps_hz = rng.uniform(1900, 3800), rng.uniform(1.2, 6.0)
    tone = np.sin(2 * np.pi * tone_hz * t) + rng.uniform(0, 0.3) * np.sin(4 * np.pi * tone_hz * t)
    gate = ((t * beeps_hz + rng.uniform()) % 1.0 < rng.uniform(0.4, 0.7)).astype(np.float64)
    ramp = np.hanning(max(3, int(0.006 * rate_hz)))
    return np.asarray(tone * np.convolve(gate, ramp / ramp.sum(), mode="same"))


def clap(rng: Rng, rate_hz: int) -> Wave:
    """Clap hands once to three times: broad, dry bursts of a few milliseconds."""
    n = int(rng.uniform(0.5, 1.0) * rate_hz)
    out = np.zeros(n)
    centre, width = rng.uniform(900, 2200), rng.uniform(900, 2200)
    for k in range(rng.integers(1, 4)):
        start = int((0.02 + k * rng.uniform(0.2, 0.35)) * rate_hz)
        if start < n:
            out[start:] += rng.uniform(0.7, 1) * _burst(
                n - start, rate_hz, rng, decay_s=rng.uniform(0.006, 0.02), band=(centre, width)
            )
    return out


def glass(rng: Rng, rate_hz: int) -> Wave:
    """Break a pane: a hard hit, then many high ringing splinters."""
    n = int(rng.uniform(0.9, 1.6) * rate_hz)
    out = 1.2 * _burst(n, rate_hz, rng, decay_s=0.02, band=(4500, 5000))
    for _ in range(rng.integers(25, 60)):
        start = int(rng.exponential(0.18) * rate_hz)
        if start < n - 200:
            ring = _modes(n - start, rate_hz, rng, span_hz=(2500, 7600), decay_s=(0.01, 0.07))
            out[start:] += ring * rng.uniform(0.1, 0.6) * np.exp(-start / rate_hz / 0.4)
    return out


def crash(rng: Rng, rate_hz: int) -> Wave:
    """Let something heavy fall over: a thump, rattling metal, rubble."""
    n = int(rng.uniform(0.9, 1.8) * rate_hz)
    out = 2.5 * _burst(n, rate_hz, rng, decay_s=rng.uniform(0.06, 0.15), band=(120, 300))
    out += 1.5 * _burst(n, rate_hz, rng, decay_s=rng.uniform(0.1, 0.3), band=(900, 2500))
    for _ in range(rng.integers(6, 16)):
        start = int(rng.exponential(0.22) * rate_hz)
        if start < n - 200:
            rest = n - start
            hit = _modes(rest, rate_hz, rng, span_hz=(180, 2600), decay_s=(0.03, 0.2))
            hit += _burst(rest, rate_hz, rng, decay_s=0.04, band=(700, 2200))
            out[start:] += hit * rng.uniform(0.2, 0.9)
    return out


EVENTS: Final[dict[str, Callable[[Rng, int], Wave]]] = {
    "siren": siren,
    "crash": crash,
    "clap": clap,
    "glass": glass,
    "alarm": alarm,
}


def _edges(n: int, rate_hz: int) -> Wave:
    """Fade in and out over 30 ms."""
    ramp = np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.03 * rate_hz)
    return np.minimum(1.0, ramp)


def _burst(n: int, rate_hz: int, rng: Rng, *, decay_s: float, band: tuple[float, float]) -> Wave:
    """Make noise in a band (centre, width; Hz) that starts at once and dies away."""
    f = np.fft.rfftfreq(n, 1.0 / rate_hz)
    shaped = coloured(n, 1.0 / (1.0 + (2 * (f - band[0]) / band[1]) ** 2), rng)
    return shaped * np.exp(-np.arange(n) / rate_hz / decay_s)


def _modes(
    n: int,
    rate_hz: int,
    rng: Rng,
    *,
    span_hz: tuple[float, float],
    decay_s: tuple[float, float],
) -> Wave:
    """Ring a few resonances of one piece: decaying sines."""
    reach = min(n, int(6 * decay_s[1] * rate_hz))
    t = np.arange(reach) / rate_hz
    out = np.zeros(n)
    for _ in range(rng.integers(2, 5)):
        decay = np.exp(-t / rng.uniform(*decay_s))
        out[:reach] += decay * np.sin(2 * np.pi * rng.uniform(*span_hz) * t + rng.uniform(0, 6.28))
    return out
