"""Change the sample rate of a stream of sound, block by block."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import ConfigError

_CROSSINGS = 16
"""Zero crossings of the filter on each side: about 80 dB with the window below."""
_KAISER_BETA = 8.0
_PASSBAND = 0.94
"""Share of the lower Nyquist frequency that passes unharmed."""


def pcm16(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Turn sound in -1..1 into 16-bit samples, clipping what is beyond.

    Args:
        wave: (n,) float32.

    Returns:
        (n,) int16.
    """
    samples: NDArray[np.int16] = np.clip(np.rint(wave * 32768.0), -32768, 32767).astype(np.int16)
    return samples


class Resampler:
    """A band-limited change of rate whose blocks join without a seam.

    Each output sample is a sum of input samples under a windowed sinc, one row of a table per
    phase. Source: R. E. Crochiere, L. R. Rabiner, Multirate Digital Signal Processing, 1983, ch. 3.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Plan the change.

        Args:
            from_hz: Rate of the input, 1..768000 samples per second.
            to_hz: Rate of the output, the same range.

        Raises:
            ConfigError: A rate is outside its range.
        """
        for rate_hz in (from_hz, to_hz):
            if not 1 <= rate_hz <= 768_000:
                raise ConfigError(f"rate_hz={rate_hz}: must be 1..768000 samples per second")
        common = math.gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        self._table = _table(self._up, self._down)
        self._reach = self._table.shape[1] // 2
        self._kept = np.zeros(self._reach, np.float32)
        self._first = -self._reach
        self._out = 0

    def feed(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output samples that `wave` completes.

        Args:
            wave: (n,) float32, the next input samples.

        Returns:
            (m,) float32; m is about n * to_hz / from_hz, held back by the filter's reach.
        """
        if self._up == self._down:
            return wave
        data = np.concatenate((self._kept, wave))
        last = self._first + len(data) - self._reach - 1
        stop = last * self._up // self._down + 1
        places = np.arange(self._out, max(stop, self._out), dtype=np.int64) * self._down
        centres, phases = places // self._up - self._first, places % self._up
        made = np.zeros(len(places), np.float32)
        for tap in range(self._table.shape[1]):
            made += data[centres + tap - self._reach + 1] * self._table[phases, tap]
        self._out += len(places)
        keep_from = self._out * self._down // self._up - self._reach + 1
        drop = max(0, min(len(data), keep_from - self._first))
        self._kept, self._first = data[drop:], self._first + drop
        return made

    def flush(self) -> NDArray[np.float32]:
        """Return what the filter still holds back, as if silence followed."""
        return self.feed(np.zeros(self._reach, np.float32))


def _table(up: int, down: int) -> NDArray[np.float32]:
    """Return the filter, (phases, taps): tap t weighs input sample centre - reach + 1 + t."""
    cutoff = min(1.0, up / down) * _PASSBAND
    reach = math.ceil(_CROSSINGS / cutoff)
    phase = np.arange(up)[:, None] / up
    distance = np.arange(-reach + 1, reach + 1)[None, :] - phase
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / reach) ** 2, 0, 1)))
    table = cutoff * np.sinc(cutoff * distance) * window
    # Each phase passes a constant unchanged.
    levelled: NDArray[np.float64] = table / table.sum(axis=1, keepdims=True)
    return levelled.astype(np.float32)
