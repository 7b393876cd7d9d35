"""Numbers of a language model for which llama.cpp would end the process, refused by name."""

from __future__ import annotations

import math
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final

from olympus.models.gguf_file import first_facts
from olympus.models.manifest import Manifest
from olympus.runtime.errors import ModelError

CONTEXT: Final = 2048
BATCH: Final = 32
"""Tokens of a prompt that are read in one step: the bound of how long an urgent job waits."""
PLACES: Final = 4
"""Generations that may be under way at once."""
MOST_PLACES: Final = 256
"""llama.cpp's own bound."""
_MOST: Final = {"block_count": 512, "context_length": 1 << 30}
"""llama.cpp's own bound of layers; of tokens what is certainly too many."""


def sizes_of(manifest: Manifest) -> tuple[int, int, int]:
    """Read places, micro-batch and context from a manifest; llama.cpp would end the process.

    Raises:
        ModelError: One is out of range; names it.
    """
    places = _size(manifest, "places", PLACES, 1, MOST_PLACES)
    batch = _size(manifest, "micro_batch", max(BATCH, places), places, 4096)
    return places, batch, _size(manifest, "context_tokens", CONTEXT, 8, 1 << 24)


def _size(manifest: Manifest, name: str, default: int, least: int, most: int) -> int:
    value = manifest.option(name, default)
    if not (least <= value <= most and value == int(value)):
        raise ModelError(
            f"model {manifest.name}: options.{name} is {value:g}; write a whole number from "
            f"{least} to {most}"
        )
    return int(value)


def refuse_impossible(model: str, path: str) -> None:
    """Refuse numbers in a file for which llama.cpp would end the process, or take all memory.

    Raises:
        ModelError: One is out of range; names it. Or it is no whole GGUF file.
    """
    with Path(path).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        facts = first_facts(Path(f"model {model}"), data)
    for fact, value in facts.items():
        name = fact.rpartition(".")[2]
        if name in _MOST and not 1 <= value <= _MOST[name]:
            wrong = f"which is not from 1 to {_MOST[name]}"
        elif not math.isfinite(value) or (name.endswith("_epsilon") and value < 0):
            wrong = "which is no number to compute with"
        else:
            continue
        raise ModelError(
            f"model {model}: its file says {fact} = {value}, {wrong}; is it a whole GGUF file?"
        )
