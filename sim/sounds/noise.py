"""The background of a room: soft noise, mains hum, a fan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import ConfigError


def coloured(n: int, gain: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float64]:
    """Make noise of unit power whose spectrum follows `gain`.

    Args:
        n: Number of samples.
        gain: (n // 2 + 1,) amplitude at each frequency of the real Fourier transform.
        rng: Draws the phases and amplitudes.

    Returns:
        (n,) float64; it repeats without a seam.
    """
    spectrum = gain * (rng.standard_normal(len(gain)) + 1j * rng.standard_normal(len(gain)))
    wave = np.fft.irfft(spectrum, n)
    return np.asarray(wave / (np.sqrt(np.mean(wave**2)) + 1e-12))


def background(
    n: int, *, seed: int, rate_hz: int = 16000, level_dbfs: float = -46.0
) -> NDArray[np.float32]:
    """Make the quiet noise of a room; it repeats without a seam.

    Args:
        n: Number of samples; at least 2.
        seed: The same seed gives the same samples, bit for bit.
        rate_hz: Sampling rate, in Hz.
        level_dbfs: Mean level, in dB under full scale (a sine of peak 1 has -3).

    Returns:
        (n,) float32, mono.

    Raises:
        ConfigError: `n` is smaller than 2.
    """
    if n < 2:
        raise ConfigError(f"background of n={n} samples is too short; ask for at least 2")
    rng = np.random.default_rng([seed, 0xB6])
    f = np.fft.rfftfreq(n, 1.0 / rate_hz)
    slope = rng.uniform(0.3, 1.0)
    room = coloured(n, 1.0 / np.maximum(f, 40.0) ** slope, rng)
    fan_hz = rng.uniform(90, 400)
    fan = coloured(n, 1.0 / (1.0 + ((f - fan_hz) / 30.0) ** 2), rng)
    mixed = room + rng.uniform(0, 0.4) * fan + rng.uniform(0, 0.5) * _hum(n, rate_hz, rng)
    mixed *= 10 ** (level_dbfs / 20) / (np.sqrt(np.mean(mixed**2)) + 1e-12)
    return mixed.astype(np.float32)


def _hum(n: int, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Hum of the mains, whole cycles in `n` samples so that it repeats."""
    cycles = max(1, round(rng.choice([50.0, 60.0]) * n / rate_hz))
    phase = 2 * np.pi * cycles * np.arange(n) / n
    amounts = rng.uniform(0.2, 1.0, 5)
    hum = sum(a / k * np.sin(k * phase + k) for k, a in enumerate(amounts, start=1))
    return np.asarray(hum)
