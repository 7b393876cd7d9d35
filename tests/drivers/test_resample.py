import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from olympus.drivers.resample import Resampler, pcm16
from olympus.runtime.errors import ConfigError


def tone(hz: float, rate_hz: int, seconds: float = 1.0) -> NDArray[np.float32]:
    at_s = np.arange(int(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * hz * at_s)).astype(np.float32)


def changed(wave: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate((resampler.feed(wave), resampler.flush()))


@pytest.mark.parametrize("from_hz", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_a_tone_stays_where_and_what_it_was(from_hz: int) -> None:
    made = changed(tone(440, from_hz), from_hz, 16_000)
    expected = tone(440, 16_000)
    assert abs(len(made) - 16_000) <= 2
    middle = slice(1000, 15_000)
    assert np.abs(made[middle] - expected[middle]).max() < 1e-3


@pytest.mark.parametrize("hz", [9_000, 12_000, 20_000])
def test_what_the_new_rate_cannot_hold_is_removed(hz: float) -> None:
    made = changed(tone(hz, 48_000), 48_000, 16_000)
    assert np.abs(made[1000:15_000]).max() < 0.5 * 1e-3


@given(
    st.lists(st.integers(0, 700), min_size=1, max_size=8),
    st.sampled_from([(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (16_000, 16_000)]),
)
def test_blocks_join_without_a_seam(cuts: list[int], rates: tuple[int, int]) -> None:
    wave = np.random.default_rng(1).normal(size=sum(cuts)).astype(np.float32)
    whole = changed(wave, *rates)
    resampler = Resampler(*rates)
    parts = [resampler.feed(part) for part in np.split(wave, np.cumsum(cuts)[:-1])]
    joined = np.concatenate((*parts, resampler.flush()))
    np.testing.assert_allclose(joined, whole, atol=1e-5)


def test_a_constant_stays_the_same() -> None:
    made = changed(np.full(4410, 0.25, np.float32), 44_100, 16_000)
    np.testing.assert_allclose(made[100:1500], 0.25, atol=1e-5)


def test_loud_samples_are_clipped_not_wrapped() -> None:
    assert pcm16(np.array([2.0, -2.0, 0.0, 1.0], np.float32)).tolist() == [32767, -32768, 0, 32767]


@pytest.mark.parametrize("rate_hz", [0, -1, 10_000_000])
def test_impossible_rates_are_refused(rate_hz: int) -> None:
    with pytest.raises(ConfigError, match="768000"):
        Resampler(rate_hz, 16_000)
