from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from olympus.models.audio_features import BANDS, FLOOR, FRAMES, HOP, WINDOW, LogMelStream, log_mel
from olympus.runtime.errors import ModelError


def noise(n: int, seed: int = 0) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def tone(frequency_hz: float, n: int = 16000) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(n) / 16000)).astype(np.float32)


def test_one_second_makes_98_frames_of_40_bands() -> None:
    assert log_mel(noise(16000)).shape == (FRAMES, BANDS)
    assert log_mel(noise(WINDOW - 1)).shape == (0, BANDS)
    assert log_mel(noise(WINDOW)).shape == (1, BANDS)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12), st.integers(0, 99))
def test_a_stream_in_any_blocks_gives_the_frames_of_the_whole(sizes: list[int], seed: int) -> None:
    wave = noise(sum(sizes), seed)
    stream = LogMelStream()
    parts = np.split(wave, np.cumsum(sizes)[:-1])
    frames = np.concatenate([stream.push(part) for part in parts])
    np.testing.assert_allclose(frames, log_mel(wave), rtol=1e-5, atol=1e-4)
    kept = min(len(frames), FRAMES)
    np.testing.assert_array_equal(stream.window()[FRAMES - kept :], frames[len(frames) - kept :])
    assert stream.is_full == (len(frames) >= FRAMES)


def test_silence_is_the_floor_and_nothing_is_infinite() -> None:
    assert np.allclose(log_mel(np.zeros(16000, np.float32)), np.log(FLOOR))
    loudest = np.full(16000, -32768, np.int16)
    assert np.isfinite(log_mel(loudest)).all()


def test_whole_numbers_and_fractions_mean_the_same() -> None:
    whole = (noise(16000) * 32767).astype(np.int16)
    fractions = (whole / 32768).astype(np.float32)
    np.testing.assert_array_equal(log_mel(whole), log_mel(fractions))


def test_ten_times_the_amplitude_is_a_shift_of_log_100() -> None:
    wave = noise(8000)
    louder = (10 * wave).astype(np.float32)
    np.testing.assert_allclose(log_mel(louder) - log_mel(wave), np.log(100.0), rtol=1e-3, atol=1e-3)


def test_a_higher_tone_lights_a_higher_band() -> None:
    bands = [int(log_mel(tone(f)).mean(axis=0).argmax()) for f in (200, 500, 1000, 3000, 6000)]
    assert bands == sorted(set(bands))


def test_the_level_of_a_full_sine_is_3_db_under_full_scale() -> None:
    stream = LogMelStream()
    assert stream.level_dbfs == -100.0
    stream.push(2 * tone(1000))
    assert stream.level_dbfs == pytest.approx(-3.01, abs=0.05)


def test_a_reset_forgets_the_past() -> None:
    stream = LogMelStream()
    stream.push(noise(20000))
    assert stream.is_full
    stream.reset()
    assert not stream.is_full and stream.level_dbfs == -100.0
    assert (stream.window() == np.log(np.float32(FLOOR))).all()
    wave = noise(5000, 3)
    np.testing.assert_allclose(stream.push(wave), log_mel(wave), rtol=1e-5)
    assert HOP * len(log_mel(wave)) <= len(wave)


def test_stereo_or_doubles_are_refused_with_a_remedy() -> None:
    with pytest.raises(ModelError, match="one row of int16 or float32"):
        log_mel(np.zeros((2, 16000), np.float32))
    with pytest.raises(ModelError, match="one row of int16 or float32"):
        LogMelStream().push(np.zeros(16000))  # type: ignore[arg-type]
