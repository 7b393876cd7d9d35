"""The rover's microphone: room noise, its own motors, and what happens around it."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from olympus.sim.happenings import Sound
from olympus.sim.world import World

RATE_HZ = 16_000
BLOCK_NS = 100_000_000
BLOCK = RATE_HZ // 10
"""Samples in a block of 100 ms."""
SPEED_OF_SOUND_MPS = 343.0
NOISE_RMS = 0.0035
"""Of the room's noise, full scale = 1; about -49 dBFS."""
MOTOR_RMS = 0.004
"""Of the motors' hum at full speed."""
WALL_GAIN = 0.35
"""What is left of a sound from another room."""
NEAR_M = 0.5
"""No nearer sound gets any louder."""

Wave = NDArray[np.float32]


class Ear:
    """Makes the microphone's blocks of a world, one after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        rng = np.random.default_rng([world.seed, 41])
        self._noise = _room_noise(rng)
        self._gains: dict[Sound, float] = {}
        self._phase = 0.0
        self._hum = 0.0

    def block(self, index: int) -> NDArray[np.int16]:
        """Mix what is heard from world time `index` * 100 ms on, as heard where the rover is now.

        Returns:
            (1600,) int16 at 16 kHz.
        """
        if self._world.faults.microphone_dead:
            return np.zeros(BLOCK, np.int16)
        start = (index * BLOCK) % (len(self._noise) - BLOCK)
        mix = self._noise[start : start + BLOCK] + self._motors()
        for sound in self._world.happenings.sounds:
            mix = mix + self._heard(sound, index)
        return np.asarray(np.clip(mix * 32767.0, -32768, 32767), np.int16)

    def _motors(self) -> Wave:
        """Two harmonics of a hum whose pitch and level follow the wheels."""
        speed = sum(abs(float(v)) for v in self._world.data.ctrl) / 25.0
        pitch_hz = 60.0 + 240.0 * speed
        angle = self._phase + 2 * math.pi * pitch_hz / RATE_HZ * np.arange(1, BLOCK + 1)
        self._phase = float(angle[-1] % (2 * math.pi))
        level = np.linspace(self._hum, MOTOR_RMS * speed, BLOCK)
        self._hum = MOTOR_RMS * speed
        return np.asarray(level * (np.sin(angle) + 0.5 * np.sin(2 * angle)), np.float32)

    def _heard(self, sound: Sound, index: int) -> Wave:
        """Cut the block's part out of a sound, late and soft by its distance."""
        pose = self._world.rover.pose
        away = math.dist((pose.x, pose.y), (sound.x, sound.y))
        since_s = (index * BLOCK_NS - sound.start_ns) / 1e9 - away / SPEED_OF_SOUND_MPS
        wave = waveform(sound.label, sound.seed)
        first = round(since_s * RATE_HZ)
        if first + BLOCK <= 0 or first >= len(wave):
            self._gains.pop(sound, None)
            return np.zeros(BLOCK, np.float32)
        gain = self._gain(sound, away)
        before = self._gains.get(sound, gain)
        self._gains[sound] = gain
        part = np.zeros(BLOCK, np.float32)
        piece = wave[max(first, 0) : first + BLOCK]
        offset = max(-first, 0)
        part[offset : offset + len(piece)] = piece
        return part * np.linspace(before, gain, BLOCK, dtype=np.float32)

    def _gain(self, sound: Sound, away_m: float) -> float:
        pose, plan = self._world.rover.pose, self._world.plan
        here, there = plan.room_at(pose.x, pose.y), plan.room_at(sound.x, sound.y)
        return (1.0 if here == there else WALL_GAIN) / max(away_m, NEAR_M) * 0.8


@lru_cache(maxsize=32)
def waveform(label: str, seed: int) -> Wave:
    """Return a sound as heard at one metre; (n,) float32, -1..1, at 16 kHz."""
    # Imported when first heard: most worlds are silent.
    from olympus.sim.sounds import synthesize

    return np.asarray(synthesize(label, seed=seed, rate_hz=RATE_HZ), np.float32)


def _room_noise(rng: np.random.Generator) -> Wave:
    """Ten seconds of noise that falls with frequency, as in a ventilated building."""
    count = 10 * RATE_HZ
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, count))
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    noise = np.fft.irfft(spectrum / np.sqrt(1.0 + hz / 150.0), count)
    return np.asarray(noise * (NOISE_RMS / noise.std()), np.float32)
