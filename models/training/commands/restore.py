"""Reads a planner's weights back, to go on training from them: of a training, or as it was shipped."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import torch

from olympus.models.training.commands.net import Net


def restore(net: Net, path: Path) -> None:
    """Put earlier weights into a network; layers that it has more of begin as doing nothing.

    A block adds what `attn_output` and `ffn_down` make of its thoughts, so with zeros there a new one
    leaves the answers as they were, and learns from there.

    Args:
        net: At least as deep as what is read.
        path: `planner.pt` of a training, or a GGUF file, whose quantized weights are made float.

    Raises:
        ValueError: They are of a network of another kind.
    """
    known = _shipped(path) if path.suffix == ".gguf" else _trained(path)
    missing, strange = net.load_state_dict(known, strict=False)
    if strange or any(not name.startswith("blk.") for name in missing):
        raise ValueError(f"{path}: has {strange}, lacks {missing}")
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name in missing and name.endswith(("attn_output.weight", "ffn_down.weight")):
                weight.zero_()


def _trained(path: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["weights"]
    return weights


def _shipped(path: Path) -> dict[str, torch.Tensor]:
    return {
        one.name: torch.from_numpy(gguf.quants.dequantize(one.data, one.tensor_type).copy())
        for one in gguf.GGUFReader(path).tensors
    }


def merges_of(path: Path) -> list[tuple[str, str]]:
    """Read the tokenizer's merges out of a GGUF file, or of `merges.json` beside a training's weights."""
    if path.suffix != ".gguf":
        return [(a, b) for a, b in json.loads(path.with_name("merges.json").read_text())]
    field = gguf.GGUFReader(path).fields["tokenizer.ggml.merges"]
    first, second = zip(*(str(merge).split(" ") for merge in field.contents()), strict=True)
    return list(zip(first, second, strict=True))
