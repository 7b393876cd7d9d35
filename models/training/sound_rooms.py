"""Rooms for training sounds: where in the second, how loud, in which echo and noise."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from olympus.models.audio_features import RATE_HZ
from olympus.sim.sounds import background

Samples = NDArray[np.float32]
Rng = np.random.Generator
SECOND: Final = RATE_HZ
_COMMANDS: Final = ("stop", "go", "help")


def active_part(wave: Samples) -> Samples:
    """Cut silence off both ends, leaving 10 ms."""
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    return wave[max(0, loud[0] - 160) : loud[-1] + 160]


def place(label: str, clips: dict[str, list[Samples]], rng: Rng) -> NDArray[np.int16]:
    """Put one sound of a kind somewhere in a noisy second.

    A command of which a good part is cut off is other speech, and so is a word that might still
    become one: a stream shows every word in part before it shows it whole.

    Args:
        label: What it is to be.
        clips: Dry sounds of every label, background excepted.
        rng: Draws everything.

    Returns:
        (16000,) int16.
    """
    scene = np.zeros(SECOND, np.float32)
    if label != "background":
        clip = _any(clips[label], rng)
        chance = rng.random() if label == "speech_other" else 1.0
        if chance < 0.2:
            command = _any(clips[str(rng.choice(_COMMANDS))], rng)
            scene = _fragment(command, rng.uniform(0.2, 0.65), rng)
        elif chance < 0.45:
            scene = _fragment(clip, rng.uniform(0.3, 0.97), rng)
        elif label in (*_COMMANDS, "speech_other"):
            scene = _word(clip, clips["speech_other"], rng)
        else:
            scene = _event(clip, rng)
    return _in_room(scene, rng, is_silent=label == "background")


def _any(clips: list[Samples], rng: Rng) -> Samples:
    return clips[rng.integers(len(clips))]


def _word(clip: Samples, others: list[Samples], rng: Rng) -> Samples:
    """A word, whole but for a twentieth, sometimes with part of another beside it."""
    slack = len(clip) // 20
    start = int(rng.integers(-slack, max(1 - slack, SECOND - len(clip) + slack + 1)))
    scene = _at(clip, start)
    if rng.random() < 0.25:
        other = _any(others, rng) * np.float32(rng.uniform(0.3, 1.0))
        pause = int(rng.uniform(0.04, 0.2) * RATE_HZ)
        before = _at(other, start - pause - len(other))
        scene = scene + (before if rng.random() < 0.6 else _at(other, start + len(clip) + pause))
    return scene


def _fragment(clip: Samples, share: float, rng: Rng) -> Samples:
    """The beginning of a word at the end of the second, or its end at the beginning."""
    heard = min(SECOND, int(len(clip) * share))
    return _at(clip, SECOND - heard) if rng.random() < 0.6 else _at(clip, heard - len(clip))


def _event(clip: Samples, rng: Rng) -> Samples:
    """An event of which a good part of the energy is heard."""
    energy = np.concatenate([[0.0], np.cumsum(clip.astype(np.float64) ** 2)])
    while True:
        start = int(rng.integers(-len(clip) + SECOND // 4, SECOND * 3 // 4))
        first, last = max(0, -start), min(len(clip), SECOND - start)
        if energy[last] - energy[first] > 0.35 * energy[-1] * min(1.0, SECOND / len(clip)):
            return _at(clip, start)


def _at(clip: Samples, start: int) -> Samples:
    scene = np.zeros(SECOND, np.float32)
    first, last = max(0, -start), min(len(clip), SECOND - start)
    if last > first:
        scene[start + first : start + last] = clip[first:last]
    return scene


def _in_room(scene: Samples, rng: Rng, *, is_silent: bool) -> NDArray[np.int16]:
    """Add echo, colour, noise and a level; turn to int16."""
    level_dbfs = rng.uniform(-38.0, -4.0)
    if is_silent:
        wave = _interrupted(_noise(rng), rng) * 10 ** ((level_dbfs - rng.uniform(0, 40)) / 20)
    else:
        wave = _coloured(_echo(scene, rng), rng)
        loud = np.sqrt(np.mean(wave[np.abs(wave) > 0.1 * np.abs(wave).max()] ** 2)) + 1e-9
        wave = wave / loud
        if rng.random() < 0.93:
            wave = wave + _noise(rng) * 10 ** (-rng.uniform(3.0, 38.0) / 20)
        wave = wave * 10 ** (level_dbfs / 20)
    return np.asarray(np.clip(wave, -1, 1) * 32767, np.int16)


def _echo(scene: Samples, rng: Rng) -> NDArray[np.float64]:
    """Convolve with decaying noise, as a room of a random size would."""
    if rng.random() < 0.3:
        return scene.astype(np.float64)
    n = int(rng.uniform(0.1, 0.5) * RATE_HZ)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    tail *= rng.uniform(0.05, 0.7) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    size = 1 << (SECOND + n).bit_length()
    wet = np.fft.irfft(np.fft.rfft(scene, size) * np.fft.rfft(tail, size), size)
    return np.asarray(wet[:SECOND])


def _coloured(wave: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    """Hear through a cheap microphone: a smooth random frequency response."""
    spectrum = np.fft.rfft(wave)
    knots = np.linspace(0, len(spectrum), 7)
    gain_db = np.interp(np.arange(len(spectrum)), knots, rng.normal(0, 4.0, 7))
    return np.asarray(np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(wave)))


def _noise(rng: Rng) -> NDArray[np.float64]:
    """One second of something that is not to be noticed, of unit power."""
    kinds = (_room, _white, _music, _motor, _steps)
    wave = kinds[rng.choice(len(kinds), p=[0.4, 0.15, 0.2, 0.15, 0.1])](rng)
    wave = wave + rng.uniform(0.05, 0.3) * np.sqrt(np.mean(wave**2)) * rng.standard_normal(SECOND)
    return np.asarray(wave / np.sqrt(np.mean(wave**2)))


def _interrupted(wave: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    """Now and then let the noise begin or end, at once or slowly: a door, a muted microphone."""
    if rng.random() < 0.75:
        return wave
    edge, span = rng.uniform(0, SECOND), rng.choice([1.0, 800.0, 8000.0])
    rise = np.clip((np.arange(SECOND) - edge) / span, 0, 1) ** 2
    rest = rng.choice([0.0, 0.01, 0.1])
    gain = rest + (1 - rest) * rise
    return wave * (gain if rng.random() < 0.5 else gain[::-1])


def _room(rng: Rng) -> NDArray[np.float64]:
    noise = background(SECOND, seed=int(rng.integers(1 << 31)), level_dbfs=-20)
    return noise.astype(np.float64)


def _white(rng: Rng) -> NDArray[np.float64]:
    return rng.standard_normal(SECOND)


def _music(rng: Rng) -> NDArray[np.float64]:
    """Chords on a beat, now and then a drum."""
    t = np.arange(SECOND) / RATE_HZ
    beat_s, out = rng.uniform(0.18, 0.6), np.zeros(SECOND)
    for start in np.arange(-rng.uniform(0, beat_s), 1.0, beat_s):
        age = t - start
        envelope = np.where(age >= 0, np.exp(-age / rng.uniform(0.1, 0.8)), 0.0)
        for note in rng.integers(40, 80, rng.integers(1, 5)):
            f = 440.0 * 2 ** ((note - 69) / 12)
            for k in range(1, int(rng.integers(2, 7))):
                out += envelope * np.sin(2 * np.pi * k * f * t + rng.uniform(0, 6.28)) / k
        out += rng.uniform(0.0, 2.0) * _drum(np.maximum(age, 0), rng) * (age >= 0)
    return out


def _drum(age: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    """A kick, a snare or a cymbal, `age` seconds after it was struck."""
    kind = rng.integers(4)
    if kind == 0:
        return np.asarray(np.sin(2 * np.pi * rng.uniform(45, 110) * age) * np.exp(-age / 0.1))
    noise = rng.standard_normal(len(age)) * np.exp(-age / rng.uniform(0.02, 0.25))
    if kind == 1:
        return np.asarray(noise + np.sin(2 * np.pi * 190 * age) * np.exp(-age / 0.08))
    if kind == 2:
        return np.asarray(np.diff(noise, n=2, append=[0.0, 0.0]) / 2.4)
    return np.zeros(len(age))


def _motor(rng: Rng) -> NDArray[np.float64]:
    """The whine of a small gear motor whose speed wanders a little."""
    t = np.arange(SECOND) / RATE_HZ
    f = rng.uniform(60, 500) * (1 + rng.uniform(0, 0.1) * np.sin(2 * np.pi * t + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(f) / RATE_HZ
    return np.asarray(sum(np.sin(k * phase) * rng.uniform(0, 1) / k for k in range(1, 9)))


def _steps(rng: Rng) -> NDArray[np.float64]:
    """Dull knocks and footsteps."""
    t = np.arange(SECOND) / RATE_HZ
    out = 0.02 * rng.standard_normal(SECOND)
    for start in rng.uniform(-0.1, 1.0, rng.integers(1, 4)):
        age = np.maximum(t - start, 0)
        thump = np.sin(2 * np.pi * rng.uniform(50, 220) * age) * np.exp(-age / 0.04)
        out += thump * (t >= start)
    return out
