"""A WAV file as a microphone, at the speed it was spoken."""

from __future__ import annotations

import threading
import time
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olympus.drivers.base import STALL_S, AudioBlock, Microphone
from olympus.drivers.resample import Resampler, pcm16
from olympus.drivers.source import require_positive
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError, EndOfStream, StallError

_LATE_S = 1.0
"""A reader that is later than this was paused: the recording waits for it."""


class WavMicrophone(Microphone):
    """Plays a PCM WAV file of any rate, width and channels as mono int16 in real time."""

    def __init__(
        self,
        location: str,
        *,
        clock: Clock,
        session: Session | None = None,
        loop: bool = False,
        rate_hz: int = 16_000,
        block_s: float = 0.1,
    ) -> None:
        """Name a recording; it stays closed.

        Args:
            location: Path of the file.
            clock: Stamps the blocks; the first sample is heard at the first `read`.
            session: Not used.
            loop: Whether it starts over at its end, without a gap.
            rate_hz: Rate of the blocks, samples per second.
            block_s: Length of a block, seconds; the last one is filled up with silence.

        Raises:
            ConfigError: A value is not usable.
        """
        require_positive(rate_hz=rate_hz, block_s=block_s)
        if not isinstance(loop, bool):
            raise ConfigError(f"loop={loop!r}: must be true or false")
        self.path = Path(location).expanduser()
        self.loop, self.rate_hz = loop, rate_hz
        self.block = max(1, round(block_s * rate_hz))
        self._clock = clock
        self._closed = threading.Event()
        self._file: wave.Wave_read | None = None

    @property
    def is_finite(self) -> bool:
        """Whether it ends: it does unless it loops."""
        return not self.loop

    def open(self) -> None:
        """Make it ready at its beginning; do nothing if it is open.

        Raises:
            DeviceError: It is missing, or no PCM WAV file.
        """
        if self._file is not None:
            return
        try:
            self._file = wave.open(str(self.path), "rb")  # noqa: SIM115
            self._resampler = Resampler(self._file.getframerate(), self.rate_hz)
        except FileNotFoundError as error:
            raise DeviceError(f"there is no sound file {self.path}; check the path") from error
        except (OSError, EOFError, wave.Error, ConfigError) as error:
            raise DeviceError(
                f"{self.path} is no PCM WAV file ({error}); convert it with:"
                f" ffmpeg -i {self.path.name} -c:a pcm_s16le out.wav"
            ) from error
        if self._file.getnframes() == 0:
            self.close()
            raise DeviceError(f"{self.path} holds no sound; record it again")
        self._ready = np.zeros(0, np.float32)
        self._is_over = False
        self._count = 0
        self._start_s: float | None = None
        self._closed.clear()

    def close(self) -> None:
        """End it; a `read` in another thread gives up."""
        self._closed.set()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def read(self, timeout_s: float = STALL_S) -> AudioBlock:
        """Wait until the next block has been heard to its end.

        Raises:
            StallError: It lasts longer than `timeout_s`.
            EndOfStream: The last one has been given.
            DeviceError: The file is closed.
        """
        if self._file is None:
            raise DeviceError(f"{self.path} is closed; call open() first")
        if self._is_over and len(self._ready) == 0:
            raise EndOfStream(f"{self.path} has come to its end; loop=true starts it over")
        self._await_block(timeout_s)
        samples = pcm16(self._take(self._file))
        stamp_ns = self._start_ns + self._count * self.block * NS_PER_S // self.rate_hz
        self._count += 1
        return AudioBlock(samples, self.rate_hz, stamp_ns)

    def _await_block(self, timeout_s: float) -> None:
        now_s = time.monotonic()
        length_s = self.block / self.rate_hz
        if self._start_s is None:
            self._start_s, self._start_ns = now_s, self._clock.now_ns()
        wait_s = self._start_s + (self._count + 1) * length_s - now_s
        if -wait_s > max(_LATE_S, 2 * length_s):
            self._start_s -= wait_s
            self._start_ns -= int(wait_s * NS_PER_S)
        if self._closed.wait(min(max(wait_s, 0.0), timeout_s)):
            raise DeviceError(f"{self.path} was closed while it was read")
        if wait_s > timeout_s:
            raise StallError(f"a block of {self.path} lasts {length_s:g} s; wait longer for it")

    def _take(self, file: wave.Wave_read) -> NDArray[np.float32]:
        while len(self._ready) < self.block and not self._is_over:
            self._ready = np.concatenate((self._ready, self._more(file)))
        taken, self._ready = self._ready[: self.block], self._ready[self.block :]
        return np.pad(taken, (0, self.block - len(taken)))

    def _more(self, file: wave.Wave_read) -> NDArray[np.float32]:
        raw = file.readframes(8192)
        if raw:
            return self._resampler.feed(mono(raw, file.getsampwidth(), file.getnchannels()))
        if self.loop:
            file.rewind()
            return np.zeros(0, np.float32)
        self._is_over = True
        return self._resampler.flush()


def mono(raw: bytes, width: int, channels: int) -> NDArray[np.float32]:
    """Mix PCM samples down to one channel.

    Args:
        raw: Little-endian samples, channels interleaved; an incomplete last frame is left out.
        width: Bytes per sample, 1..4; one byte is unsigned, as WAV has it.
        channels: At least 1.

    Returns:
        (n,) float32, -1..1.
    """
    whole = len(raw) - len(raw) % (width * channels)
    data = np.frombuffer(raw[:whole], np.uint8).reshape(-1, width)
    wide = np.zeros((len(data), 4), np.uint8)
    wide[:, 4 - width :] = data
    if width == 1:
        wide[:, 3] ^= 0x80
    level = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    mixed: NDArray[np.float32] = level.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mixed
