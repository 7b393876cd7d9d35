"""The fuzzing targets take good inputs and refuse damaged ones; `./run fuzz` goes further."""

from __future__ import annotations

import random
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from olympus.runtime.messages import decode
from olympus.runtime.quick import quick, why_not

NAMES = ("codec", "ipc", "cdr", "picture", "edges", "wire")
MUTANTS = 300


def loaded() -> ModuleType:
    """Import the targets as `./run fuzz` does: from beside it, without a package."""
    spec = spec_from_file_location("targets", Path(__file__).with_name("targets.py"))
    assert spec is not None
    assert spec.loader is not None
    import sys

    module = module_from_spec(spec)
    sys.modules["targets"] = module
    spec.loader.exec_module(module)
    return module


targets = loaded()


def damaged(seed: bytes, dice: random.Random) -> bytes:
    raw = bytearray(seed)
    for _ in range(dice.randint(1, 8)):
        match dice.randint(0, 3):
            case 0 if raw:
                raw[dice.randrange(len(raw))] = dice.choice(
                    [0, 1, 127, 128, 255, dice.randrange(256)]
                )
            case 1 if raw:
                start = dice.randrange(len(raw))
                del raw[start : start + dice.randint(1, 16)]
            case 2:
                at = dice.randint(0, len(raw))
                raw[at:at] = dice.randbytes(dice.randint(1, 8))
            case 3 if raw:
                start = dice.randrange(len(raw))
                piece = raw[start : start + dice.randint(1, 32)]
                raw[start:start] = piece
    return bytes(raw)


def test_the_targets_are_these() -> None:
    assert tuple(targets.TARGETS) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name != "wire"])
def test_a_target_takes_its_seeds_and_survives_what_is_made_of_them(name: str) -> None:
    target, dice = targets.TARGETS[name], random.Random(7)
    seeds = target.seeds()
    assert seeds
    for seed in seeds:
        target.feed(seed)
        for _ in range(MUTANTS):
            target.feed(damaged(seed, dice))


@pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
@pytest.mark.timeout(300)
def test_what_a_stranger_says_and_sends_has_the_same_effect_with_c_and_without() -> None:
    """Both in processes of their own: what other tests have left here makes no difference."""
    dice = random.Random(7)
    with closing(targets.Other(in_c=True)) as there, closing(targets.Other(in_c=False)) as pure:
        for number, seed in enumerate(targets.TARGETS["wire"].seeds()):
            script = damaged(seed, dice) if number % 4 == 3 else seed
            targets.assert_alike(pure.outcome(script), there.outcome(script))


def test_the_seeds_of_the_codec_are_frames() -> None:
    for seed in targets.TARGETS["codec"].seeds():
        decode(seed)
