"""A small source-filter voice: glottal pulses and noise through moving formants.

Each word becomes a track of targets, one every 5 ms; the tracks are smoothed as the tongue would
smooth them, and short overlapping pieces of the sources are filtered with the tract's frequency
response of that moment. Good enough to be recognised, small enough to be read.

Source: Klatt (1980), "Software for a cascade/parallel formant synthesizer", JASA 67; glottal
pulse after Rosenberg (1971), "Effect of glottal pulse shape on the quality of natural vowels".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from olympus.sim.sounds.phonemes import PLOSIVES, SOUNDS, Plosive, Target, is_vowel

Samples = NDArray[np.float32]
Track = NDArray[np.float64]
FRAME_S: Final = 0.005
_HIGH_FORMANTS_HZ: Final = tuple(3400.0 + 1000.0 * k for k in range(9))
_BANDWIDTHS_HZ: Final = (60.0, 80.0, 120.0, *(180.0 + 50.0 * k for k in range(9)))


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker in one mood."""

    pitch_hz: float
    """Mean pitch, in Hz."""
    tract: float
    """Formant scale: 1 an adult man, 1.17 a woman, 1.35 a child."""
    pace: float
    """Durations are divided by it."""
    fall: float
    """Pitch at the end over pitch at the start."""
    breath: float
    """Noise mixed into the vowels, 0..0.3."""
    effort: float
    """Brightness of the glottal pulses: 0 soft speech, 0.8 a shout."""
    open_quotient: float
    """Share of a glottal cycle that is open, 0.4..0.8."""
    accent: tuple[float, float]
    """Scales of F1 and F2 of all vowels."""
    rough: float
    """Cycle-to-cycle jitter of the pitch, relative."""


def draw_voice(rng: np.random.Generator) -> Voice:
    """Draw a speaker: pitch and tract length go together, as in people."""
    size = rng.uniform(0.0, 1.0)
    return Voice(
        pitch_hz=90.0 * 2 ** (1.45 * size + rng.uniform(-0.25, 0.45)),
        tract=(0.93 + 0.34 * size) * rng.uniform(0.94, 1.06),
        pace=rng.uniform(0.72, 1.35),
        fall=rng.uniform(0.6, 1.15),
        breath=rng.uniform(0.0, 0.15),
        effort=rng.uniform(0.1, 0.8),
        open_quotient=rng.uniform(0.45, 0.75),
        accent=(rng.uniform(0.92, 1.08), rng.uniform(0.93, 1.07)),
        rough=rng.uniform(0.002, 0.02),
    )


def say(phonemes: str, voice: Voice, rng: np.random.Generator, *, rate_hz: int = 16000) -> Samples:
    """Speak a string of ARPAbet phonemes.

    Args:
        phonemes: Names separated by spaces, such as `"S T AA P"`.
        voice: Who speaks.
        rng: Draws the noise, the timing and the way of the final consonant.
        rate_hz: Sampling rate, in Hz.

    Returns:
        (n,) float32, mono, peak 0.9.
    """
    frames = _frames(_targets(phonemes.split(), rng), voice, rng)
    hop = round(FRAME_S * rate_hz)
    n = frames.shape[0] * hop
    breath = rng.standard_normal(n)
    hiss = rng.standard_normal(n)
    pulses = _glottis(frames, voice, rng, rate_hz=rate_hz)
    tract = _tract_response(frames[:, :3], voice, rate_hz)
    sources = ((pulses, 6, tract), (breath, 7, tract), (hiss, 8, _hiss_response(frames, rate_hz)))
    mixed = sum(_filtered(s, frames[:, column], h, hop) for s, column, h in sources)
    mixed = np.asarray(mixed)
    return (0.9 * mixed / max(float(np.abs(mixed).max()), 1e-9)).astype(np.float32)


def _targets(names: list[str], rng: np.random.Generator) -> list[Target]:
    """Expand phonemes to targets; plosives look at their neighbours."""
    out: list[Target] = []
    for i, name in enumerate(names):
        if name in PLOSIVES:
            before, after = names[i - 1] if i else "", names[i + 1] if i + 1 < len(names) else ""
            out += _plosive(PLOSIVES[name], before, after, rng)
        elif name == "HH" and i + 1 < len(names) and names[i + 1] in SOUNDS:
            out.append(replace(SOUNDS["HH"][0], formants_hz=SOUNDS[names[i + 1]][0].formants_hz))
        else:
            out += SOUNDS[name]
    return out


def _plosive(plosive: Plosive, before: str, after: str, rng: np.random.Generator) -> list[Target]:
    """Closure, burst and breath of a stop consonant in its place."""
    following = SOUNDS[after][0].formants_hz if after in SOUNDS else plosive.locus_hz
    bar = 0.18 if plosive.voiced else 0.0
    closure = Target(70 if before else 35, plosive.locus_hz, voicing=bar)
    release = 1.0 if after else float(rng.choice([0.1, 0.5, 0.8, 1.0]))
    burst = Target(
        14,
        plosive.locus_hz,
        breath=0.03,
        friction=plosive.burst * release,
        centre_hz=plosive.centre_hz,
        width_hz=plosive.width_hz,
    )
    if plosive.voiced:
        return [closure, burst]
    if before == "S" or (after and not is_vowel(after)):
        return [closure, burst, Target(12, following, breath=0.05)]
    puff = Target(48, following, breath=0.2 if after else 0.12 * release)
    return [closure, burst, puff]


def _frames(targets: list[Target], voice: Voice, rng: np.random.Generator) -> Track:
    """Lay the targets out in time.

    Returns:
        (frames, 9): F1..F3 (Hz), friction centre and width (Hz), pitch (Hz), and the amplitudes
        of voicing, breath and friction.
    """
    rows = []
    for target in targets:
        ms = target.ms / voice.pace * rng.uniform(0.85, 1.25)
        row = [*target.formants_hz, target.centre_hz, target.width_hz, 0.0]
        row += [target.voicing, target.breath + voice.breath * target.voicing, target.friction]
        rows += [row] * max(2, round(ms / 1000 / FRAME_S))
    silence = [*rows[0][:6], 0.0, 0.0, 0.0], [*rows[-1][:6], 0.0, 0.0, 0.0]
    track = np.array([silence[0]] * 6 + rows + [silence[1]] * 8)
    track[:, :3] = _smooth(track[:, :3], 11)
    track[:, 3:5] = _smooth(track[:, 3:5], 3)
    track[:, 6:] = _smooth(track[:, 6:], 5)
    track[:, 0] *= voice.tract * voice.accent[0]
    track[:, 1] *= voice.tract * voice.accent[1]
    track[:, 2:4] *= voice.tract
    track[:, 5] = voice.pitch_hz * _intonation(len(track), voice, rng)
    return track


def _intonation(n: int, voice: Voice, rng: np.random.Generator) -> Track:
    t = np.linspace(0.0, 1.0, n)
    bump = rng.uniform(0.0, 0.35) * np.exp(-(((t - rng.uniform(0.2, 0.6)) / 0.25) ** 2))
    return np.asarray(1.0 + (voice.fall - 1.0) * t + bump)


def _smooth(track: Track, width: int) -> Track:
    window = np.hanning(width + 2)[1:-1]
    window /= window.sum()
    padded = np.pad(track, ((width // 2, width // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(c, window, mode="valid") for c in padded.T], axis=1)


def _glottis(
    frames: Track, voice: Voice, rng: np.random.Generator, *, rate_hz: int
) -> NDArray[np.float64]:
    """Make the derivative of the glottal flow, one pulse a pitch cycle."""
    hop = round(FRAME_S * rate_hz)
    at = np.arange(len(frames) * hop) / hop
    pitch = np.interp(at, np.arange(len(frames)), frames[:, 5])
    wander = np.interp(at, np.arange(len(frames)), rng.standard_normal(len(frames)))
    phase = np.cumsum(pitch * (1.0 + voice.rough * wander)) / rate_hz % 1.0
    rise, fall = 0.67 * voice.open_quotient, 0.33 * voice.open_quotient
    opening = 0.5 * np.pi / rise * np.sin(np.pi * phase / rise)
    closing = -0.5 * np.pi / fall * np.sin(0.5 * np.pi * (phase - rise) / fall)
    flow = np.where(phase < rise, opening, np.where(phase < rise + fall, closing, 0.0))
    return np.asarray(flow - voice.effort * np.roll(flow, 1), np.float64)


def _fft_size(hop: int) -> int:
    return 1 << (8 * hop - 1).bit_length()


def _tract_response(formants_hz: Track, voice: Voice, rate_hz: int) -> NDArray[np.complex128]:
    """Multiply second-order resonances of unit gain at 0 Hz: (frames, bins)."""
    size = _fft_size(round(FRAME_S * rate_hz))
    s = 2j * np.pi * np.fft.rfftfreq(size, 1.0 / rate_hz)[None, :]
    high = [np.full(len(formants_hz), f * voice.tract) for f in _HIGH_FORMANTS_HZ]
    response = np.ones((len(formants_hz), s.shape[1]), np.complex128)
    for centre, width in zip([*formants_hz.T, *high], _BANDWIDTHS_HZ, strict=True):
        w = 2 * np.pi * np.asarray(centre)[:, None]
        response *= w**2 / (s**2 + 2 * np.pi * width * voice.tract * s + w**2)
    return response


def _hiss_response(frames: Track, rate_hz: int) -> NDArray[np.complex128]:
    f = np.fft.rfftfreq(_fft_size(round(FRAME_S * rate_hz)), 1.0 / rate_hz)[None, :]
    centre, width = frames[:, 3:4], frames[:, 4:5]
    return (1.0 / (1.0 + (1.6 * (f - centre) / width) ** 2) ** 2).astype(np.complex128)


def _filtered(
    source: NDArray[np.float64], amplitude: Track, response: NDArray[np.complex128], hop: int
) -> NDArray[np.float64]:
    """Filter a source piece by piece, so that its mean power follows `amplitude` squared."""
    size, window = _fft_size(hop), np.hanning(4 * hop + 1)[:-1] / 2.0
    padded = np.pad(source, (2 * hop, 2 * hop))
    starts = np.arange(len(amplitude)) * hop
    pieces = padded[starts[:, None] + np.arange(4 * hop)] * window * amplitude[:, None]
    rung = np.fft.irfft(np.fft.rfft(pieces, size, axis=1) * response, size, axis=1)
    out = np.zeros(len(padded) + size)
    for start, piece in zip(starts, rung, strict=True):
        out[start : start + size] += piece
    out = out[2 * hop : 2 * hop + len(source)]
    power = np.sum(out**2) / (hop * np.sum(amplitude**2) + 1e-12)
    return np.asarray(out / np.sqrt(power + 1e-12))
