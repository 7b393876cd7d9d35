"""What a model's answers mean to whoever reads them by its manifest, and where it came from."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from olympus.models.manifest import Manifest, Part, Tensor
from olympus.models.registry import StoredModel
from olympus.runtime.messages.inference import ModelOrigin

OPENER: Final = "olympus.models.onnx:open_model"
"""By this name a recording calls what loads a tensor model."""
_DIGITS: Final = 16
"""Of a meaning's hash: it guards against mistakes, and goes along with every answer."""


def origin_of(stored: StoredModel) -> ModelOrigin:
    """Return which model this is, and what its answers mean."""
    manifest = stored.manifest
    return ModelOrigin(
        loader=OPENER if manifest.format == "onnx" else "",
        place=stored.place,
        digest=manifest.model_file.sha256,
        title=manifest.title,
        meaning=meaning_of(manifest),
    )


def meaning_of(manifest: Manifest) -> str:
    """Hash what a reader of answers goes by: equal where either manifest reads them right."""
    told = manifest.model_dump(mode="json", include=set(_telling(manifest)))
    text = json.dumps(told, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _telling(manifest: Manifest) -> tuple[str, ...]:
    """Return the fields that say what labels and numbers mean."""
    fields = ("task", "format", "labels", "inputs", "outputs")
    return (*fields, "options") if manifest.format == "onnx" else fields


def unlike(old: Manifest, new: Manifest) -> str:
    """Say why a version can't take the place of another while it is asked; empty if it can.

    Who asks has read the manifest of the version before: what its labels and numbers mean, and
    which shape its own tensors have.
    """
    for name in _telling(old):
        if (before := getattr(old, name)) != (after := getattr(new, name)):
            field, was, now = _first_other(name, before, after)
            return (
                f"{field} is {now}, of {old.title} in use it is {was}, as which its answers would "
                "be read; correct it, or launch anew with the new version"
            )
    return ""


def _first_other(name: str, was: object, now: object) -> tuple[str, object, object]:
    """Go down to the first field that differs; return its path and both values."""
    if isinstance(was, Part) and isinstance(now, Part):
        was, now = was.model_dump(mode="json"), now.model_dump(mode="json")
    if isinstance(was, dict) and isinstance(now, dict):
        keys = [*was, *(key for key in now if key not in was)]
        parts = [(f"{name}.{key}", was.get(key), now.get(key)) for key in keys]
    elif isinstance(was, tuple) and isinstance(now, tuple) and len(was) == len(now):
        pairs = zip(was, now, strict=True)
        parts = [(f"{name}[{i}]", before, after) for i, (before, after) in enumerate(pairs)]
    else:
        parts = []
    other = [(path, before, after) for path, before, after in parts if before != after]
    return _first_other(*other[0]) if other else (name, _told(was), _told(now))


def _told(value: object) -> object:
    """Return a value as people write it."""
    if isinstance(value, tuple):
        return [one.name if isinstance(one, Tensor) else one for one in value]
    return "not set" if value is None else value
