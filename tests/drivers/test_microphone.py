import time
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.drivers.microphone import PortAudioMicrophone, load_portaudio
from olympus.drivers.microphone_file import WavMicrophone, mono
from olympus.drivers.registry import make_microphone
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, DeviceError, EndOfStream, StallError

MEDIA = Path(__file__).resolve().parents[2] / "../shared/media"


def write_tone(
    path: Path, *, hz: float = 440, rate_hz: int = 44_100, seconds: float = 0.35, channels: int = 2
) -> Path:
    at_s = np.arange(int(rate_hz * seconds)) / rate_hz
    samples = (16_000 * np.sin(2 * np.pi * hz * at_s)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return path


def test_a_file_of_any_rate_becomes_16_khz_mono_in_real_time(tmp_path: Path) -> None:
    source = str(write_tone(tmp_path / "tone.wav"))
    blocks = []
    begin = time.monotonic()
    with make_microphone(source, clock=SystemClock()) as microphone:
        assert microphone.is_finite
        with pytest.raises(EndOfStream, match="loop=true"):
            while True:
                blocks.append(microphone.read())
    assert time.monotonic() - begin >= 0.39
    assert [len(block.samples) for block in blocks] == [1600] * 4
    assert {block.rate_hz for block in blocks} == {16_000}
    gaps = np.diff([block.stamp_ns for block in blocks])
    assert set(gaps.tolist()) == {100_000_000}
    heard = np.concatenate([block.samples for block in blocks])[:5500].astype(float)
    peak_hz = np.fft.rfft(heard * np.hanning(5500), 16_000)
    assert abs(int(np.abs(peak_hz).argmax()) - 440) <= 2
    assert blocks[-1].samples[-700:].tolist() == [0] * 700


def test_a_looping_file_has_no_gap(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "tone.wav", rate_hz=16_000, seconds=0.025, channels=1)
    with make_microphone(f"{path}?loop=true&block_s=0.05", clock=SystemClock()) as microphone:
        assert not microphone.is_finite
        block = microphone.read()
    np.testing.assert_array_equal(block.samples[:400], block.samples[400:])
    assert block.samples.any()


def test_a_paused_reader_finds_the_recording_waiting(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "tone.wav", seconds=2.0)
    clock = SystemClock()
    with WavMicrophone(str(path), clock=clock, block_s=0.01) as microphone:
        first = microphone.read()
        time.sleep(1.1)  # the reader pauses on purpose
        paused_ns = clock.now_ns()
        second = microphone.read()
        assert second.stamp_ns - first.stamp_ns > 1_000_000_000
        assert paused_ns - 100_000_000 < second.stamp_ns <= clock.now_ns()


def test_a_block_longer_than_the_timeout_stalls(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "tone.wav")
    with (
        WavMicrophone(str(path), clock=SystemClock(), block_s=0.3) as microphone,
        pytest.raises(StallError, match="lasts"),
    ):
        microphone.read(timeout_s=0.02)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all, just text"])
def test_what_is_no_wav_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(DeviceError, match="ffmpeg -i"):
        WavMicrophone(str(tmp_path / "bad.wav"), clock=SystemClock()).open()
    with pytest.raises(DeviceError, match="there is no sound file"):
        WavMicrophone(str(tmp_path / "none.wav"), clock=SystemClock()).open()


def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "empty.wav", seconds=0)
    with pytest.raises(DeviceError, match="holds no sound"):
        WavMicrophone(str(path), clock=SystemClock()).open()


def test_a_closed_microphone_says_so(tmp_path: Path) -> None:
    microphone = WavMicrophone(str(write_tone(tmp_path / "tone.wav")), clock=SystemClock())
    microphone.close()
    with pytest.raises(DeviceError, match="call open"):
        microphone.read()
    with pytest.raises(DeviceError, match="call open"):
        PortAudioMicrophone("default", clock=SystemClock()).read()


@pytest.mark.parametrize("options", ["loop=maybe", "rate_hz=0", "block_s=-1.0", "block_s=long"])
def test_unusable_options_are_refused(options: str) -> None:
    with pytest.raises(ConfigError):
        make_microphone(f"tone.wav?{options}", clock=SystemClock())


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_sample_width_gives_the_same_sound(width: int) -> None:
    levels = np.array([0.0, 0.5, -0.5, -1.0])
    ints = (levels * 2 ** (8 * width - 1)).astype(np.int64) + (128 if width == 1 else 0)
    raw = b"".join(
        int(value).to_bytes(width, "little", signed=width > 1) for value in np.repeat(ints, 2)
    )
    np.testing.assert_allclose(mono(raw, width, 2), levels, atol=1e-6)


@given(st.binary(max_size=200), st.integers(1, 4), st.integers(1, 8))
def test_any_bytes_become_sound_within_limits(raw: bytes, width: int, channels: int) -> None:
    wave_ = mono(raw, width, channels)
    assert len(wave_) == len(raw) // (width * channels)
    assert np.abs(wave_).max(initial=0) <= 1


def test_a_missing_portaudio_names_the_package() -> None:
    try:
        load_portaudio()
    except DeviceError as error:
        assert "libportaudio2" in str(error) or "olympus-edge[audio]" in str(error)
    else:
        pytest.skip("PortAudio is installed here")


def test_a_microphone_that_is_not_there_is_refused() -> None:
    microphone = PortAudioMicrophone("no such microphone", clock=SystemClock())
    with pytest.raises(DeviceError):
        microphone.open()


@pytest.mark.skipif(not MEDIA.exists(), reason="recorded media are not on this machine")
def test_a_recorded_real_word_is_heard() -> None:
    with WavMicrophone(str(MEDIA / "marvin.wav"), clock=SystemClock()) as microphone:
        heard = np.concatenate([microphone.read().samples for _ in range(5)])
    assert heard.shape == (8000,)
    assert np.abs(heard).max() > 500
