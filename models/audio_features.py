"""Log-mel pictures of sound: what the sound model looks at, whole or as a stream.

A window of 25 ms every 10 ms, 40 bands from 60 Hz to 7600 Hz, the natural logarithm of the power
in each. One second of sound at 16 kHz makes 98 frames.

Source: mel scale after O'Shaughnessy (1987), "Speech Communication", p. 150,
`m = 2595 log10(1 + f / 700)`; triangular bands after Davis & Mermelstein (1980), "Comparison of
parametric representations for monosyllabic word recognition", IEEE Trans. ASSP 28.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import ModelError

RATE_HZ: Final = 16000
WINDOW: Final = 400
"""Samples in a frame: 25 ms."""
HOP: Final = 160
"""Samples from frame to frame: 10 ms."""
BANDS: Final = 40
FRAMES: Final = 98
"""Frames in one second of sound."""
FLOOR: Final = 1e-10
"""Power added before the logarithm, full scale = 1; digital silence becomes log(FLOOR)."""
_FFT: Final = 512
_SPAN_HZ: Final = (60.0, 7600.0)

Samples = NDArray[np.int16] | NDArray[np.float32]
Features = NDArray[np.float32]


def log_mel(samples: Samples) -> Features:
    """Compute the frames of a whole piece of sound.

    Args:
        samples: (n,) mono at 16 kHz; int16, or float32 in -1..1.

    Returns:
        (frames, 40) float32, where frames = (n - 400) // 160 + 1, or 0 if n < 400.

    Raises:
        ModelError: The samples are not one row of int16 or float32.
    """
    wave = _as_float(samples)
    if len(wave) < WINDOW:
        return np.empty((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * _HANN, _FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(power @ _MEL + FLOOR).astype(np.float32)


class LogMelStream:
    """Compute the same frames from blocks as they come, and keep the last second of them.

    Every sample is looked at once, so a hop of 100 ms costs a tenth of a whole window.
    """

    def __init__(self, frames: int = FRAMES) -> None:
        """Start empty.

        Args:
            frames: How many of the newest frames to keep.
        """
        self._rest = np.empty(0, np.float32)
        self._window = np.empty((frames, BANDS), np.float32)
        self._levels = np.empty(frames, np.float32)
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether a whole window has been heard since the start or the last reset."""
        return self._count >= len(self._window)

    @property
    def level_dbfs(self) -> float:
        """Level of the loudest 100 ms kept, in dB under full scale (-100 for silence)."""
        heard = self._levels[len(self._levels) - min(self._count, len(self._levels)) :]
        if not len(heard):
            return -100.0
        width = min(10, len(heard))
        sums = np.convolve(heard, np.full(width, 1.0 / width), mode="valid")
        return max(-100.0, 10.0 * float(np.log10(sums.max() + FLOOR)))

    def push(self, samples: Samples) -> Features:
        """Take the next samples.

        Args:
            samples: (n,) mono at 16 kHz; int16, or float32 in -1..1; any n.

        Returns:
            (k, 40) float32: the frames completed by these samples.

        Raises:
            ModelError: The samples are not one row of int16 or float32.
        """
        wave = np.concatenate([self._rest, _as_float(samples)])
        new = log_mel(wave)
        self._rest = wave[len(new) * HOP :]
        if len(new):
            squares = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP] ** 2
            self._levels = _shifted(self._levels, squares.mean(axis=1))
            self._window = _shifted(self._window, new)
            self._count += len(new)
        return new

    def window(self) -> Features:
        """Copy the newest frames, oldest first.

        Returns:
            (frames, 40) float32; frames not yet heard are digital silence.
        """
        out = self._window.copy()
        out[: max(0, len(out) - self._count)] = np.log(FLOOR)
        return out

    def reset(self) -> None:
        """Forget everything heard, for example after a gap in the stream."""
        self._rest = np.empty(0, np.float32)
        self._count = 0


def _as_float(samples: Samples) -> NDArray[np.float32]:
    if samples.ndim != 1 or samples.dtype not in (np.int16, np.float32):
        raise ModelError(
            f"sound of shape {samples.shape} and type {samples.dtype} cannot be analysed; "
            "give one row of int16 or float32 samples at 16 kHz"
        )
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / 32768.0
    return samples.astype(np.float32, copy=False)


def _shifted(ring: Features, new: NDArray[np.floating]) -> Features:
    """Append rows and keep the newest; a copy of a few kB, so old views stay valid."""
    return np.concatenate([ring, new])[-len(ring) :].astype(np.float32, copy=False)


def _mel_bands() -> Features:
    """Triangles, evenly spaced on the mel scale: (bins, bands)."""
    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in _SPAN_HZ)
    corners = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0)
    f = np.fft.rfftfreq(_FFT, 1.0 / RATE_HZ)[:, None]
    rising = (f - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - f) / (corners[2:] - corners[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


_HANN: Final = np.hanning(WINDOW).astype(np.float32) * np.float32(2.0 / WINDOW)
_MEL: Final = _mel_bands()
