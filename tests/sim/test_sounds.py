from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from olympus.runtime.errors import ConfigError
from olympus.sim import sounds


def share(samples: NDArray[np.float32], low_hz: float, high_hz: float) -> float:
    """Tell which share of the power lies between two frequencies."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    f = np.fft.rfftfreq(len(samples), 1 / 16000)
    return float(power[(f >= low_hz) & (f < high_hz)].sum() / power.sum())


@pytest.mark.parametrize("label", sounds.LABELS)
def test_the_same_seed_gives_the_same_samples(label: str) -> None:
    first = sounds.synthesize(label, seed=7)
    assert np.array_equal(first, sounds.synthesize(label, seed=7))
    other = sounds.synthesize(label, seed=8)
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("label", sounds.LABELS)
def test_every_sound_has_a_sane_length_and_level(label: str) -> None:
    for seed in range(20):
        wave = sounds.synthesize(label, seed=seed)
        assert wave.dtype == np.float32 and wave.ndim == 1
        assert 0.2 * 16000 <= len(wave) <= 2.1 * 16000
        assert np.isclose(np.abs(wave).max(), 0.9, atol=0.01)
        assert np.isfinite(wave).all()


def test_other_sampling_rates_keep_the_length_in_seconds() -> None:
    at_16k = len(sounds.synthesize("siren", seed=3)) / 16000
    at_48k = len(sounds.synthesize("siren", seed=3, rate_hz=48000)) / 48000
    assert at_48k == pytest.approx(at_16k, abs=0.01)
    assert sounds.speak("stop", seed=3, rate_hz=48000).size > 0


def test_stop_begins_with_a_hiss_and_goes_on_with_a_vowel() -> None:
    for seed in range(10):
        wave = sounds.speak("stop", seed=seed)
        assert share(wave[: len(wave) // 5], 3000, 8000) > 0.5
        assert share(wave[len(wave) // 3 :], 100, 3000) > 0.7


def test_an_alarm_is_higher_than_a_siren() -> None:
    assert share(sounds.synthesize("alarm", seed=1), 1800, 8000) > 0.9
    assert share(sounds.synthesize("siren", seed=1), 300, 1800) > 0.4


@pytest.mark.parametrize("word", sounds.WORDS)
def test_every_word_can_be_said(word: str) -> None:
    assert 0.15 * 16000 < len(sounds.speak(word, seed=0)) < 1.5 * 16000


def test_the_background_has_the_level_asked_for_and_no_seam() -> None:
    noise = sounds.background(16000, seed=2, level_dbfs=-40)
    assert 20 * np.log10(np.sqrt(np.mean(noise**2))) == pytest.approx(-40, abs=0.1)
    steps = np.abs(np.diff(np.concatenate([noise, noise])))
    assert steps[len(noise) - 1] <= steps.max()
    assert np.array_equal(noise, sounds.background(16000, seed=2, level_dbfs=-40))


def test_a_misspelt_sound_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'siren'"):
        sounds.synthesize("sirene", seed=0)
    with pytest.raises(ConfigError, match="8000"):
        sounds.synthesize("stop", seed=0, rate_hz=4000)
    with pytest.raises(ConfigError, match="at least 2"):
        sounds.background(1, seed=0)
