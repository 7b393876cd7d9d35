"""What a field's kind is made of, where its values can be packed without a call for each."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from olympus.runtime.messages.schema import Kind


@dataclass(frozen=True, slots=True)
class Items:
    """Within a kind: a row of items."""

    item: Kind
    most: int


@dataclass(frozen=True, slots=True)
class Record:
    """Within a kind: the fields of a dataclass."""

    cls: type[Any]
    names: Sequence[str]
    kinds: Sequence[Kind]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Within a kind: a map, of which only an empty one is taken as it is."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Within a kind: one of an enum's members."""

    cls: type[enum.Enum]
    values: Mapping[enum.Enum, Any]


@dataclass(frozen=True, slots=True)
class Free:
    """Within a kind: an array of any lengths."""

    dtype: np.dtype[Any]
    ndim: int
