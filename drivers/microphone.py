"""A microphone that PortAudio knows."""

from __future__ import annotations

import threading
from collections import deque
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olympus.drivers.base import STALL_S, AudioBlock, Microphone
from olympus.drivers.resample import Resampler, pcm16
from olympus.drivers.source import require_positive
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.config import Session
from olympus.runtime.errors import DeviceError, StallError

_KEPT_BLOCKS = 50
"""Blocks that wait for a slow reader; older ones are lost and counted."""


def load_portaudio(what: str = "microphones") -> ModuleType:
    """Import sounddevice, and with it the system's PortAudio.

    Raises:
        DeviceError: One of them is not installed.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise DeviceError(
            f"{what} need sounddevice ({error}); install it with: pip install 'olympus-edge[audio]'"
        ) from error
    except OSError as error:
        raise DeviceError(
            f"{what} need the PortAudio library ({error}); install it with:"
            " sudo apt install libportaudio2"
        ) from error
    module: ModuleType = sounddevice
    return module


class PortAudioMicrophone(Microphone):
    """`portaudio://default`, `portaudio://2` (its number) or `portaudio://usb` (part of its name).

    It is asked for `rate_hz`; where the device can't, its own rate is changed to it.
    """

    def __init__(
        self,
        location: str,
        *,
        clock: Clock,
        session: Session | None = None,
        rate_hz: int = 16_000,
        block_s: float = 0.1,
    ) -> None:
        """Name a device; it stays closed.

        Args:
            location: `default`, a number, or a part of a name.
            clock: Stamps the blocks.
            session: Not used.
            rate_hz: Rate of the blocks, samples per second.
            block_s: Length of a block, seconds.

        Raises:
            ConfigError: A value is not usable.
        """
        require_positive(rate_hz=rate_hz, block_s=block_s)
        self.location = location or "default"
        self.rate_hz, self.block_s = rate_hz, block_s
        self._clock = clock
        self._stream: Any = None
        self._changed = threading.Condition()
        self._blocks: deque[AudioBlock] = deque(maxlen=_KEPT_BLOCKS)
        self._lost = 0

    @property
    def lost_samples(self) -> int:
        """Samples lost since `open`: nobody read them."""
        return self._lost

    def open(self) -> None:
        """Start listening; do nothing if it does.

        Raises:
            DeviceError: PortAudio or the device is missing, or refuses.
        """
        if self._stream is not None:
            return
        audio = load_portaudio()
        self._blocks.clear()
        self._lost = 0
        try:
            device = self._device(audio)
            self._own_hz = self._usable_rate(audio, device)
            self._resampler = Resampler(self._own_hz, self.rate_hz)
            self._stream = audio.InputStream(
                device=device,
                samplerate=self._own_hz,
                blocksize=max(1, round(self.block_s * self._own_hz)),
                channels=1,
                dtype="int16",
                callback=self._hear,
            )
            self._stream.start()
        except (audio.PortAudioError, ValueError) as error:
            self.close()
            raise DeviceError(
                f"microphone {self.location!r}: {error}; 'olympus doctor' lists what there is"
            ) from error

    def close(self) -> None:
        """Stop listening; do nothing if it does not."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(ignore_errors=True)

    def read(self, timeout_s: float = STALL_S) -> AudioBlock:
        """Wait for the next block.

        Raises:
            StallError: None came in time.
            DeviceError: The microphone is closed.
        """
        if self._stream is None:
            raise DeviceError(f"microphone {self.location!r} is closed; call open() first")
        with self._changed:
            if self._changed.wait_for(lambda: bool(self._blocks), timeout_s):
                return self._blocks.popleft()
        raise StallError(
            f"microphone {self.location!r} gave no sound for {timeout_s:g} s; was it unplugged?"
        )

    def _device(self, audio: ModuleType) -> int | str | None:
        if self.location == "default":
            if not any(one["max_input_channels"] for one in audio.query_devices()):
                raise DeviceError("there is no microphone; plug one in, or use a WAV file")
            return None
        return int(self.location) if self.location.isdecimal() else self.location

    def _usable_rate(self, audio: ModuleType, device: int | str | None) -> int:
        try:
            audio.check_input_settings(device, channels=1, dtype="int16", samplerate=self.rate_hz)
        except audio.PortAudioError:
            return int(audio.query_devices(device, "input")["default_samplerate"])
        return self.rate_hz

    def _hear(self, data: NDArray[np.int16], frames: int, times: Any, status: Any) -> None:
        """Take a block, (frames, 1) int16; runs in PortAudio's own thread."""
        age_s = times.currentTime - times.inputBufferAdcTime
        if not 0 <= age_s < 1:
            age_s = frames / self._own_hz
        stamp_ns = self._clock.now_ns() - int(age_s * NS_PER_S)
        samples = self._at_our_rate(data[:, 0])
        with self._changed:
            if len(self._blocks) == _KEPT_BLOCKS:
                self._lost += len(self._blocks[0].samples)
            if status.input_overflow:
                self._lost += frames * self.rate_hz // self._own_hz
            if len(samples):
                self._blocks.append(AudioBlock(samples, self.rate_hz, stamp_ns))
            self._changed.notify_all()

    def _at_our_rate(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        if self._own_hz == self.rate_hz:
            return samples.copy()
        return pcm16(self._resampler.feed(samples.astype(np.float32) / np.float32(32768)))
