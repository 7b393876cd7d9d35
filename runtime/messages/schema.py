"""From a frozen dataclass to a message: how fields become msgpack values and back, checked.

A message class is a frozen, slotted, keyword-only dataclass whose fields are of these kinds:
`bool`, `int`, `float`, `str`, `bytes`, an enum, a numpy array (`Annotated[NDArray[...],
Array(...)]`), another such class, `tuple[X, ...]`, `dict[str, X]`, or `X | None`.

Values travel as a list in the order of the fields; arrays travel beside it (see codec.py).
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import types
import typing
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import MessageError
from olympus.runtime.messages.compiled import items_packer, items_unpacker, lazily, packer, unpacker
from olympus.runtime.messages.within import Choice, Free, Items, Pairs, Record

Held = TypeVar("Held", bound=Sized)
AnyArray = NDArray[Any]
Pack = Callable[[Any, list[AnyArray]], Any]
Unpack = Callable[[Any, list[AnyArray], str], Any]
MAX_ITEMS = 8192
"""Most items of a tuple or a dict; what holds more is an array."""
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Array:
    """What an array field may hold.

    `shape` has one entry per axis: a number that must match, or None for any length.
    """

    dtype: str
    shape: tuple[int | None, ...]

    def complaint(self, value: object) -> str | None:
        """Say what is wrong with `value`, or None if it fits."""
        if not isinstance(value, np.ndarray):
            return f"an array is needed, not {type(value).__name__}"
        if value.dtype.str.lstrip("<|=") != np.dtype(self.dtype).str.lstrip("<|="):
            return f"dtype {value.dtype} where {self.dtype} is needed"
        fits = value.ndim == len(self.shape) and all(
            want is None or want == have for want, have in zip(self.shape, value.shape, strict=True)
        )
        return None if fits else f"shape {value.shape} where {self.shape} is needed"


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of field: its name in the schema, and its two directions."""

    text: str
    pack: Pack
    unpack: Unpack
    within: Items | Record | Pairs | Choice | Free | None = None
    """What it is made of, where it is not plain: what is compiled does without its functions."""


@dataclass(frozen=True, slots=True)
class Schema:
    """How one message class travels."""

    name: str
    cls: type[Any]
    kind: Kind
    version: int
    """Counts the layouts this name has had, from 1; a higher one is newer."""
    hash: bytes
    """First 8 bytes of the sha256 of the schema's text: another layout has another hash."""


def _plain(kind: type, text: str) -> Kind:
    def pack(value: Any, _arrays: list[AnyArray]) -> Any:
        if type(value) is not kind:
            raise MessageError(f"{value!r:.40} is no {text}")
        return value

    def unpack(value: Any, _arrays: list[AnyArray], where: str) -> Any:
        if type(value) is not kind:
            raise MessageError(f"{where}: {type(value).__name__} where {text} is needed")
        return value

    return Kind(text, pack, unpack)


def _int_kind() -> Kind:
    def check(value: Any, where: str) -> int:
        if type(value) is not int or not _INT_MIN <= value <= _INT_MAX:
            raise MessageError(f"{where}: {value!r:.40} is no integer of 64 bits")
        return value

    return Kind("int", lambda v, _a: check(v, "value"), lambda v, _a, where: check(v, where))


def _float_kind() -> Kind:
    def check(value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, float | int | np.floating):
            raise MessageError(f"{where}: {type(value).__name__} where float is needed")
        try:
            return float(value)
        except OverflowError:
            raise MessageError(f"{where}: an integer too large for a float") from None

    return Kind("float", lambda v, _a: check(v, "value"), lambda v, _a, where: check(v, where))


def _enum_kind(cls: type[enum.Enum]) -> Kind:
    values = {member: member.value for member in cls}  # quicker to ask than `cls` and `.value`
    members = {value: member for member, value in values.items()}

    def member(value: Any, where: str) -> enum.Enum:
        try:
            return cls(value)
        except ValueError:
            known = [member.value for member in cls]
            raise MessageError(f"{where}: {value!r:.40} is none of {known}") from None

    def pack(value: Any, _arrays: list[AnyArray]) -> Any:
        return values[value] if type(value) is cls else member(value, "value").value

    def unpack(value: Any, _arrays: list[AnyArray], where: str) -> enum.Enum:
        try:
            return members[value]
        except (KeyError, TypeError):  # it is none, or something that can't even be looked up
            return member(value, where)

    text = f"enum({','.join(str(value) for value in values.values())})"
    return Kind(text, pack, unpack, Choice(cls, values))


def _array_kind(spec: Array) -> Kind:
    dtype, ndim = np.dtype(spec.dtype), len(spec.shape)
    is_free = all(length is None for length in spec.shape)

    def fits(value: Any) -> bool:  # what is right, found right fast; the rest by `complaint`
        return is_free and type(value) is np.ndarray and value.dtype is dtype and value.ndim == ndim

    def pack(value: Any, arrays: list[AnyArray]) -> int:
        if not fits(value) and (problem := spec.complaint(value)):
            raise MessageError(problem)
        arrays.append(value)
        return len(arrays) - 1

    def unpack(value: Any, arrays: list[AnyArray], where: str) -> AnyArray:
        if type(value) is not int or not 0 <= value < len(arrays):
            raise MessageError(f"{where}: there is no array {value!r:.40}")
        if not fits(arrays[value]) and (problem := spec.complaint(arrays[value])):
            raise MessageError(f"{where}: {problem}")
        return arrays[value]

    within = Free(dtype, ndim) if is_free else None
    return Kind(f"array({spec.dtype},{spec.shape})", pack, unpack, within)


def _tuple_kind(item: Kind) -> Kind:
    pack_items, unpack_items = lazily(items_packer, item), lazily(items_unpacker, item)

    def unpack(value: Any, arrays: list[AnyArray], where: str) -> tuple[Any, ...]:
        if type(value) is not list:
            raise MessageError(f"{where}: {type(value).__name__} where a list is needed")
        try:
            return unpack_items(value, arrays, where)
        except MessageError:  # say which item it is
            _each(item.unpack(v, arrays, f"{where}[{i}]") for i, v in enumerate(value))
            raise

    def pack(value: Any, arrays: list[AnyArray]) -> list[Any]:
        if not isinstance(value, tuple | list):
            raise MessageError(f"{type(value).__name__} where a tuple is needed")
        items = _not_too_many(value)
        try:
            return pack_items(items, arrays)
        except MessageError:  # say what of an item it is
            _each(item.pack(v, []) for v in items)
            raise

    return Kind(f"[{item.text}]", pack, unpack, Items(item, MAX_ITEMS))


def _each(acts: Iterable[object]) -> None:
    for _ in acts:
        pass


def _dict_kind(item: Kind) -> Kind:
    def unpack(value: Any, arrays: list[AnyArray], where: str) -> dict[str, Any]:
        if type(value) is not dict or (value and any(type(key) is not str for key in value)):
            raise MessageError(f"{where}: a map from text is needed")
        return {k: item.unpack(v, arrays, f"{where}[{k!r}]") for k, v in value.items()}

    def pack(value: Any, arrays: list[AnyArray]) -> dict[str, Any]:
        if not isinstance(value, dict) or (value and any(type(key) is not str for key in value)):
            raise MessageError(f"{value!r:.40} is no map from text")
        return {k: item.pack(v, arrays) for k, v in _not_too_many(value).items()}

    return Kind(f"{{{item.text}}}", pack, unpack, Pairs())


def _not_too_many(value: Held) -> Held:
    if len(value) > MAX_ITEMS:
        raise MessageError(f"{len(value)} items, at most {MAX_ITEMS}; put so many into an array")
    return value


def _optional_kind(item: Kind) -> Kind:
    return Kind(
        f"{item.text}?",
        lambda value, arrays: None if value is None else item.pack(value, arrays),
        lambda value, arrays, where: None if value is None else item.unpack(value, arrays, where),
    )


def record_kind(cls: type[Any]) -> Kind:
    """Return how instances of a dataclass travel: as a list of its fields, in their order.

    Raises:
        TypeError: A field is of a type that can't travel.
    """
    if cls not in _records:
        _records[cls] = _new_record_kind(cls)
    return _records[cls]


_records: dict[type[Any], Kind] = {}
"""Made once each: every message has a header, and its two functions take a while to make."""


def _new_record_kind(cls: type[Any]) -> Kind:
    names, kinds = field_kinds(cls)
    pack_fields, unpack = lazily(packer, names, kinds), lazily(unpacker, cls, kinds)

    def pack(value: Any, arrays: list[AnyArray]) -> list[Any]:
        if type(value) is not cls:
            raise MessageError(f"{type(value).__name__} where {cls.__name__} is needed")
        try:
            return pack_fields(value, arrays)
        except MessageError:
            raise _named(value, names, kinds) from None

    fields = ",".join(f"{n}:{k.text}" for n, k in zip(names, kinds, strict=True))
    return Kind(f"{cls.__name__}({fields})", pack, unpack, Record(cls, names, kinds))


def field_kinds(cls: type[Any]) -> tuple[list[str], list[Kind]]:
    """Return the names of a dataclass's fields and how each travels.

    Raises:
        TypeError: A field is of a type that can't travel.
    """
    hints = get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]
    return names, [_kind_of(hints[name]) for name in names]


def _named(value: Any, names: list[str], kinds: list[Kind]) -> MessageError:
    """Find the field that can't be packed; only on the way to an error, so the way in is fast."""
    for name, kind in zip(names, kinds, strict=True):
        try:
            kind.pack(getattr(value, name), [])
        except MessageError as error:
            return MessageError(f"{type(value).__name__}.{name}: {error}")
    return MessageError(f"{type(value).__name__} can't be packed")


_PLAIN = {bool: "bool", str: "str", bytes: "bytes"}


def _kind_of(hint: Any) -> Kind:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _array_kind(next(a for a in args if isinstance(a, Array)))
    if origin in (typing.Union, types.UnionType):
        return _optional_kind(_kind_of(next(a for a in args if a is not types.NoneType)))
    if origin is tuple:
        return _tuple_kind(_kind_of(args[0]))
    if origin is dict:
        return _dict_kind(_kind_of(args[1]))
    return _kind_of_class(hint)


def _kind_of_class(hint: Any) -> Kind:
    if hint in _PLAIN:
        return _plain(hint, _PLAIN[hint])
    if hint is int:
        return _int_kind()
    if hint is float:
        return _float_kind()
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enum_kind(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return record_kind(hint)
    raise TypeError(
        f"{hint!r} can't be a field of a message; see the top of schema.py for what can"
    )


def schema_of(cls: type[Any], name: str, version: int = 1) -> Schema:
    """Derive the schema of a message class.

    Args:
        cls: A frozen dataclass, see the top of this file.
        name: The name it travels under, such as `olympus/Image`.
        version: Which layout of that name this is, from 1.

    Returns:
        Its schema.

    Raises:
        TypeError: A field is of a type that can't travel.
    """
    kind = record_kind(cls)
    digest = hashlib.sha256(f"{name}={kind.text}".encode()).digest()
    return Schema(name=name, cls=cls, kind=kind, version=version, hash=digest[:8])
