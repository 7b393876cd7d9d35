"""Sounds of the simulated building: spoken commands, events and room noise.

Everything is computed from a seed with numpy alone; the same seed gives the same samples, bit for
bit, on the same machine.
"""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.sim.sounds.events import EVENTS
from olympus.sim.sounds.noise import background
from olympus.sim.sounds.phonemes import COMMANDS, DISTRACTORS
from olympus.sim.sounds.voice import draw_voice, say

__all__ = ["LABELS", "WORDS", "background", "speak", "synthesize"]

LABELS: Final = (*COMMANDS, "speech_other", *EVENTS)
"""What `synthesize` can make."""
WORDS: Final = (*COMMANDS, *DISTRACTORS)
"""What `speak` can say."""


def synthesize(label: str, *, seed: int, rate_hz: int = 16000) -> NDArray[np.float32]:
    """Make one sound of a kind: a spoken command, another word or two, or an event.

    Args:
        label: One of `LABELS`.
        seed: Chooses the speaker or the course of the event; not negative.
        rate_hz: Sampling rate, in Hz; at least 8000.

    Returns:
        (n,) float32, mono, peak 0.9, 0.3 to 2 seconds.

    Raises:
        ConfigError: The label is unknown or the rate too low.
    """
    _check(label, LABELS, rate_hz)
    if label in COMMANDS:
        return speak(label, seed=seed, rate_hz=rate_hz)
    rng = np.random.default_rng([seed, zlib.crc32(label.encode())])
    if label == "speech_other":
        return _small_talk(rng, rate_hz)
    wave = EVENTS[label](rng, rate_hz)
    return np.asarray(0.9 * wave / np.abs(wave).max(), np.float32)


def speak(word: str, *, seed: int, rate_hz: int = 16000) -> NDArray[np.float32]:
    """Say one word in a voice drawn from the seed.

    Args:
        word: One of `WORDS`.
        seed: Chooses the speaker and the mood; not negative.
        rate_hz: Sampling rate, in Hz; at least 8000.

    Returns:
        (n,) float32, mono, peak 0.9.

    Raises:
        ConfigError: The word is unknown or the rate too low.
    """
    _check(word, WORDS, rate_hz)
    rng = np.random.default_rng([seed, zlib.crc32(word.encode())])
    choices = COMMANDS.get(word) or (DISTRACTORS[word],)
    return say(str(rng.choice(choices)), draw_voice(rng), rng, rate_hz=rate_hz)


def _small_talk(rng: np.random.Generator, rate_hz: int) -> NDArray[np.float32]:
    words = rng.choice(list(DISTRACTORS), size=rng.integers(1, 3), replace=False)
    voice = draw_voice(rng)
    return np.concatenate([say(DISTRACTORS[str(w)], voice, rng, rate_hz=rate_hz) for w in words])


def _check(name: str, known: tuple[str, ...], rate_hz: int) -> None:
    if name not in known:
        raise ConfigError(f"no sound is called {name!r}; {did_you_mean(name, known)}")
    if rate_hz < 8000:
        raise ConfigError(f"rate_hz={rate_hz} is too low for speech; use 8000 or more, best 16000")
