"""Phonemes of English as targets for the formant voice, and the words it can say.

Source: vowel formants after Peterson & Barney (1952), "Control methods used in a study of the
vowels", JASA 24; consonant targets, bursts and durations after Klatt (1980), "Software for a
cascade/parallel formant synthesizer", JASA 67. Names are ARPAbet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Target:
    """Where the tract and its sources want to be for a while."""

    ms: float
    """Nominal duration, milliseconds."""
    formants_hz: tuple[float, float, float]
    """F1, F2, F3 of an adult male tract, in Hz."""
    voicing: float = 0.0
    """Amplitude of the glottal pulses, 1 = a stressed vowel."""
    breath: float = 0.0
    """Amplitude of noise made at the glottis (it passes the formants)."""
    friction: float = 0.0
    """Amplitude of noise made at a narrowing."""
    centre_hz: float = 4000.0
    """Centre of the friction's band, in Hz."""
    width_hz: float = 2000.0
    """Width of the friction's band, in Hz."""


@dataclass(frozen=True, slots=True)
class Plosive:
    """A stop consonant: a closure, a burst and, when voiceless, a puff of breath."""

    locus_hz: tuple[float, float, float]
    """Formants the neighbouring vowels bend towards, in Hz."""
    voiced: bool
    burst: float
    """Amplitude of the burst, 1 = a stressed vowel."""
    centre_hz: float
    width_hz: float


def _vowel(ms: float, f1: float, f2: float, f3: float, voicing: float = 1.0) -> Target:
    return Target(ms, (f1, f2, f3), voicing=voicing)


def _hiss(ms: float, f2: float, amount: float, centre_hz: float, width_hz: float) -> Target:
    return Target(ms, (320, f2, 2600), 0.0, 0.0, amount, centre_hz, width_hz)


def _buzz(ms: float, f2: float, amount: float, centre_hz: float, width_hz: float) -> Target:
    return Target(ms, (280, f2, 2600), 0.35, 0.0, amount, centre_hz, width_hz)


SOUNDS: Final[dict[str, tuple[Target, ...]]] = {
    "AA": (_vowel(180, 730, 1090, 2440),),
    "AE": (_vowel(180, 660, 1720, 2410),),
    "AH": (_vowel(130, 640, 1190, 2390),),
    "AO": (_vowel(180, 570, 840, 2410),),
    "AX": (_vowel(70, 500, 1400, 2400, 0.6),),
    "EH": (_vowel(150, 530, 1840, 2480),),
    "ER": (_vowel(160, 490, 1350, 1690),),
    "IH": (_vowel(120, 390, 1990, 2550),),
    "IY": (_vowel(160, 270, 2290, 3010),),
    "UH": (_vowel(130, 440, 1020, 2240),),
    "UW": (_vowel(170, 300, 870, 2240),),
    "OW": (_vowel(110, 520, 950, 2400), _vowel(110, 380, 820, 2300, 0.8)),
    "EY": (_vowel(100, 480, 1900, 2500), _vowel(100, 320, 2200, 2800, 0.8)),
    "AY": (_vowel(120, 720, 1200, 2500), _vowel(100, 400, 2000, 2600, 0.8)),
    "AW": (_vowel(120, 720, 1300, 2500), _vowel(100, 430, 950, 2400, 0.8)),
    "M": (Target(75, (270, 1000, 2200), 0.35),),
    "N": (Target(70, (270, 1600, 2600), 0.35),),
    "L": (Target(75, (360, 950, 2700), 0.55),),
    "R": (Target(75, (350, 1100, 1500), 0.55),),
    "W": (Target(75, (300, 650, 2200), 0.5),),
    "Y": (Target(65, (270, 2200, 2950), 0.5),),
    "S": (_hiss(120, 1700, 0.32, 5800, 3000),),
    "SH": (_hiss(125, 1800, 0.34, 3000, 1800),),
    "F": (_hiss(105, 1100, 0.08, 5200, 7000),),
    "TH": (_hiss(100, 1300, 0.07, 5800, 6000),),
    "Z": (_buzz(85, 1700, 0.16, 5600, 3000),),
    "V": (_buzz(70, 1100, 0.05, 4500, 6000),),
    "HH": (Target(80, (500, 1500, 2500), 0.0, 0.28, 0.05, 2800, 4000),),
}

PLOSIVES: Final[dict[str, Plosive]] = {
    "P": Plosive((350, 850, 2200), False, 0.20, 900, 1400),
    "T": Plosive((350, 1800, 2700), False, 0.45, 4600, 3600),
    "K": Plosive((350, 1700, 2200), False, 0.45, 1900, 1100),
    "B": Plosive((250, 850, 2200), True, 0.16, 800, 1400),
    "D": Plosive((250, 1800, 2700), True, 0.28, 4200, 3400),
    "G": Plosive((250, 1600, 2100), True, 0.30, 1700, 1100),
}

COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "stop": ("S T AA P", "S T AA P", "S T AO P"),
    "go": ("G OW",),
    "help": ("HH EH L P",),
}
"""The commands, each with its pronunciations (a frequent one stands more than once)."""

DISTRACTORS: Final[dict[str, str]] = {
    "stock": "S T AA K", "step": "S T EH P", "shop": "SH AA P", "goal": "G OW L",
    "held": "HH EH L D", "hello": "HH AX L OW", "top": "T AA P", "spot": "S P AA T",
    "start": "S T AA R T", "stay": "S T EY", "steep": "S T IY P", "stuff": "S T AH F",
    "store": "S T AO R", "stamp": "S T AE M P", "drop": "D R AA P", "sock": "S AA K",
    "no": "N OW", "low": "L OW", "gold": "G OW L D", "got": "G AA T", "goat": "G OW T",
    "grow": "G R OW", "gate": "G EY T", "slow": "S L OW", "show": "SH OW", "so": "S OW",
    "kelp": "K EH L P", "hell": "HH EH L", "health": "HH EH L TH", "heap": "HH IY P",
    "hop": "HH AA P", "hear": "HH IY R", "yes": "Y EH S", "left": "L EH F T",
    "right": "R AY T", "turn": "T ER N", "robot": "R OW B AA T", "door": "D AO R",
    "up": "AH P", "down": "D AW N", "wait": "W EY T", "seven": "S EH V AX N",
    "people": "P IY P AX L", "very": "V EH R IY", "water": "W AO T ER", "marvin": "M AA R V IH N",
    "zero": "Z IY R OW", "office": "AO F IH S", "stone": "S T OW N", "stood": "S T UH D",
}  # fmt: skip
"""Words that are no command; many differ from one by a single sound."""


def is_vowel(name: str) -> bool:
    """Tell whether a phoneme is a vowel."""
    return name in SOUNDS and SOUNDS[name][0].voicing >= 0.6
