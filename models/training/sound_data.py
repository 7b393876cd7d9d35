"""Examples for the sound model: clips of speech and events, placed in noisy rooms.

Two kinds of voices speak: espeak-ng (`apt install espeak-ng`, needed for training only) and the
simulator's own formant voice. Whole espeak voices and whole ranges of seeds are held out, so that
a test example never shares its speaker with a training example.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from olympus.models.audio_features import RATE_HZ
from olympus.models.training.sound_rooms import active_part, place
from olympus.runtime.errors import ConfigError
from olympus.sim import sounds

Samples = NDArray[np.float32]
LABELS: Final = ("background", *sounds.LABELS)
"""Classes of the sound model, in the order of its outputs."""
COMMANDS: Final = ("stop", "go", "help")
HELD_OUT_SEED: Final = 1_000_000
"""Formant voices and events with this seed or a higher one are never trained on."""
ACCENTS: Final = (
    "en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan",
    "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029",
)  # fmt: skip
NEAR: Final = (
    "stock", "step", "spot", "start", "shop", "top", "stone", "store", "goal", "gold", "goat",
    "no", "hell", "held", "kelp", "health",
)  # fmt: skip
"""Words that differ from a command by one sound; they are practised three times as often."""
PHRASES: Final = (
    "turn left", "the door is open", "good morning", "where is it", "robot", "I think so",
    "don't know", "over there", "come here", "thank you", "what is that", "on top", "a step",
    "hold on", "the shop", "alone", "ago", "also", "self", "shelf", "stopper", "dog", "stalk",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clip:
    """A dry sound and what it is."""

    label: str
    word: str
    """The word said, or the event's name."""
    samples: Samples


@dataclass(frozen=True, slots=True)
class Plan:
    """How many dry clips and how many placed examples to make."""

    espeak_per_command: int
    espeak_other: int
    formant_per_command: int
    formant_other: int
    per_event: int
    examples: dict[str, int]
    """Label to the number of examples of one second."""


TRAINING: Final = Plan(
    espeak_per_command=330,
    espeak_other=900,
    formant_per_command=400,
    formant_other=1300,
    per_event=200,
    examples={
        **dict.fromkeys(LABELS, 850),
        **{"background": 1900, "speech_other": 4600, "stop": 2000, "go": 1500, "help": 1500},
    },
)
HELD_OUT: Final = Plan(
    espeak_per_command=70,
    espeak_other=210,
    formant_per_command=80,
    formant_other=240,
    per_event=60,
    examples={**dict.fromkeys(LABELS, 120), **dict.fromkeys(COMMANDS, 200), "speech_other": 600},
)


def espeak_voices(*, held_out: bool) -> list[str]:
    """List the voice variants of espeak-ng of one side of the split.

    Raises:
        ConfigError: espeak-ng is not installed.
    """
    if shutil.which("espeak-ng") is None:
        raise ConfigError(
            "espeak-ng is not installed, and the recipe trains on its voices; "
            "`apt install espeak-ng`, or use the model shipped in models/zoo/sound-events"
        )
    told = subprocess.run(
        ["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True
    )
    names = sorted({line.split()[4].split("/")[-1] for line in told.stdout.splitlines()[1:]})
    order = np.random.default_rng(5).permutation(len(names))
    chosen = order[:18] if held_out else order[18:]
    return [names[i] for i in sorted(chosen) if "whisper" not in names[i]]


def espeak(word: str, voice: str, rng: np.random.Generator) -> Samples:
    """Let espeak-ng say something: float32 at 16 kHz, silence cut off, peak 0.9."""
    accent = str(rng.choice(ACCENTS))
    pace, pitch = str(rng.integers(120, 230)), str(rng.integers(15, 90))
    command = ["espeak-ng", "-v", f"{accent}+{voice}", "-s", pace, "-p", pitch, "--stdout", word]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    rate_hz = int.from_bytes(wav[24:28], "little")
    wave = np.frombuffer(wav[44 : len(wav) - len(wav) % 2], np.int16).astype(np.float32)
    spectrum = np.fft.rfft(wave)
    n = len(wave) * RATE_HZ // rate_hz
    wave = np.fft.irfft(spectrum[: n // 2 + 1], n).astype(np.float32)
    return active_part(np.asarray(0.9 * wave / (np.abs(wave).max() + 1e-9), np.float32))


def espeak_clips(plan: Plan, *, held_out: bool, seed: int) -> list[Clip]:
    """Record espeak's voices: commands and other words.

    Raises:
        ConfigError: espeak-ng is not installed.
    """
    rng = np.random.default_rng([seed, 1])
    voices = espeak_voices(held_out=held_out)
    other = (*[w for w in sounds.WORDS if w not in COMMANDS], *PHRASES)
    todo = [w for w in COMMANDS for _ in range(plan.espeak_per_command)]
    other = (*other, *NEAR, *NEAR)
    todo += [str(rng.choice(other)) for _ in range(plan.espeak_other)]
    return [
        Clip(w if w in COMMANDS else "speech_other", w, espeak(w, str(rng.choice(voices)), rng))
        for w in todo
    ]


def formant_clips(plan: Plan, *, first_seed: int) -> list[Clip]:
    """Record the simulator's own voices, seeds `first_seed` and up."""
    seeds = iter(range(first_seed, first_seed + 1_000_000))
    other = [w for w in sounds.WORDS if w not in COMMANDS]
    other = [*other, *(w for w in other if w in NEAR), *(w for w in other if w in NEAR)]
    clips = [
        Clip(w, w, active_part(sounds.speak(w, seed=next(seeds))))
        for w in COMMANDS
        for _ in range(plan.formant_per_command)
    ]
    for i in range(plan.formant_other):
        word = other[i % len(other)]
        clips.append(Clip("speech_other", word, sounds.speak(word, seed=next(seeds))))
    return clips


def event_clips(plan: Plan, *, first_seed: int) -> list[Clip]:
    """Record sirens, crashes and the other events, seeds `first_seed` and up."""
    events = [label for label in sounds.LABELS if label not in (*COMMANDS, "speech_other")]
    return [
        Clip(label, label, sounds.synthesize(label, seed=first_seed + i))
        for label in events
        for i in range(plan.per_event)
    ]


def placed(
    clips: list[Clip], examples: dict[str, int], *, seed: int
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Place clips in rooms, one second each.

    Args:
        clips: Dry clips of every label asked for, background excepted.
        examples: Label to the number of examples.
        seed: Draws rooms, levels and places.

    Returns:
        (n, 16000) int16 sound and (n,) indices in `LABELS`.
    """
    rng = np.random.default_rng([seed, 2])
    by_label = {name: [c.samples for c in clips if c.label == name] for name in LABELS}
    out = [
        (place(label, by_label, rng), LABELS.index(label))
        for label, count in examples.items()
        for _ in range(count)
    ]
    return np.stack([wave for wave, _ in out]), np.array([index for _, index in out])


def make_set(
    plan: Plan, *, held_out: bool, voices: str, seed: int, cache: Path | None = None
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Make a whole data set.

    Args:
        plan: How much of what.
        held_out: Take the held-out voices and seeds.
        voices: "espeak", "formant" or "both".
        seed: Draws everything but the formant voices.
        cache: Folder to keep the result in between runs.

    Returns:
        (n, 16000) int16 sound and (n,) indices in `LABELS`.

    Raises:
        ConfigError: espeak-ng is asked for and not installed.
    """
    path = cache / f"sound-{voices}-{held_out}-{seed}.npz" if cache else None
    if path and path.exists():
        kept = np.load(path)
        return kept["sounds"], kept["labels"]
    first_seed = HELD_OUT_SEED if held_out else 0
    clips = event_clips(plan, first_seed=first_seed)
    if voices in ("espeak", "both"):
        clips += espeak_clips(plan, held_out=held_out, seed=seed)
    if voices in ("formant", "both"):
        clips += formant_clips(plan, first_seed=first_seed)
    waves, labels = placed(clips, plan.examples, seed=seed + held_out)
    if path:
        np.savez(path, sounds=waves, labels=labels)
    return waves, labels
