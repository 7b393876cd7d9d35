"""Functions made for one dataclass, field by field, as `dataclasses` itself makes `__init__`.

A frozen dataclass sets each field through `object.__setattr__` and a loop over fields looks each
one up; what a bus does for every message must not. The source below is put together from the names
of fields alone, never from anything that arrived.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from olympus.runtime.errors import MessageError

if TYPE_CHECKING:
    from olympus.runtime.messages.schema import Kind

T = TypeVar("T")
_INLINE = {
    "bool": "type(v) is bool",
    "str": "type(v) is str",
    "bytes": "type(v) is bytes",
    "int": "type(v) is int and -9223372036854775808 <= v <= 9223372036854775807",
    "float": "type(v) is float",
}
"""When a value of such a kind can be taken as it is; else the kind's own function decides."""


def maker(cls: type[T]) -> Callable[..., T]:
    """Return what makes an instance of a dataclass from all its fields, by place, unchecked."""
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if twin := _twin(cls, names):
        lines = [f"def make({', '.join(names)}):", " made = new(twin)"]
        lines += [f" made.{name} = {name}" for name in names]
        lines += [" made.__class__ = cls", " return made"]
        return _function("make", lines, {"new": object.__new__, "twin": twin, "cls": cls})
    lines = [f"def make({', '.join(names)}):", " made = new(cls)"]
    lines += [f" set_{name}(made, {name})" for name in names]
    return _function("make", [*lines, " return made"], {**_setters(cls, names), "cls": cls})


def changer(cls: type[T], name: str) -> Callable[[T, Any], T]:
    """Return what makes a copy of an instance in which one field is another, unchecked."""
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    lines = [f"def change(old, {name}):", " made = new(cls)"]
    lines += [f" set_{n}(made, {n if n == name else f'old.{n}'})" for n in names]
    return _function("change", [*lines, " return made"], {**_setters(cls, names), "cls": cls})


def packer(names: Sequence[str], kinds: Sequence[Kind]) -> Callable[..., list[Any]]:
    """Return what turns some fields of an instance into a list: `(value, arrays) -> list`."""
    known: dict[str, Any] = {}
    items = []
    for index, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        known[f"pack_{index}"] = kind.pack
        call = f"pack_{index}({{}}, arrays)"
        test = _INLINE.get(kind.text)
        items.append(
            f"(v if {test.replace('type(v)', f'type(v := value.{name})', 1)} else "
            + call.format("v")
            + ")"
            if test
            else call.format(f"value.{name}")
        )
    return _function("pack", ["def pack(value, arrays):", f" return [{', '.join(items)}]"], known)


def unpacker(cls: type[Any], kinds: Sequence[Kind]) -> Callable[..., Any]:
    """Return what turns a list into an instance, checked: `(items, arrays, where) -> instance`."""
    return _unpacker(cls, kinds, given=0)


def rest_unpacker(cls: type[Any], kinds: Sequence[Kind]) -> Callable[..., Any]:
    """Return the same for all fields but the first, which is given as it is.

    `(items, arrays, where, first) -> instance`
    """
    return _unpacker(cls, kinds, given=1)


def items_packer(kind: Kind) -> Callable[..., list[Any]]:
    """Return what turns items of one kind into a list: `(items, arrays) -> list`."""
    item = "pack_item(v, arrays)"
    if kind.text in _INLINE:
        item = f"v if {_INLINE[kind.text]} else {item}"
    lines = ["def pack(items, arrays):", f" return [{item} for v in items]"]
    return _function("pack", lines, {"pack_item": kind.pack})


def items_unpacker(kind: Kind) -> Callable[..., tuple[Any, ...]]:
    """Return what turns a list into items of one kind: `(items, arrays, where) -> tuple`."""
    item = "unpack_item(v, arrays, where)"
    if kind.text in _INLINE:
        item = f"v if {_INLINE[kind.text]} else {item}"
    lines = ["def unpack(items, arrays, where):", f" return tuple([{item} for v in items])"]
    return _function("unpack", lines, {"unpack_item": kind.unpack})


def _unpacker(cls: type[Any], kinds: Sequence[Kind], *, given: int) -> Callable[..., Any]:
    names = [field.name for field in dataclasses.fields(cls)]
    wanted = len(names) - given
    known: dict[str, Any] = {**_setters(cls, names), "cls": cls, "MessageError": MessageError}
    lines = [
        f"def unpack(items, arrays, where{', first' if given else ''}):",
        f" if type(items) is not list or len(items) != {wanted}:",
        f"  raise MessageError(f'{{where}}: {wanted} fields of {cls.__name__} are needed')",
        " made = new(cls)",
        *([f" set_{names[0]}(made, first)"] if given else []),
    ]
    for index, name in enumerate(names[given:]):
        kind = kinds[index + given]
        known[f"unpack_{index}"] = kind.unpack
        lines += [f" v = items[{index}]"]
        slow = f"unpack_{index}(v, arrays, where + '.{name}')"
        test = f"v if {_INLINE[kind.text]} else " if kind.text in _INLINE else ""
        lines += [f" set_{name}(made, {test}{slow})"]
    if hasattr(cls, "__post_init__"):
        lines += [
            " try:",
            "  made.__post_init__()",
            " except ValueError as error:",
            "  raise MessageError(f'{where}: {error}') from error",
        ]
    return _function("unpack", [*lines, " return made"], known)


def _setters(cls: type[Any], names: Sequence[str]) -> dict[str, Any]:
    """Return `set_NAME(instance, value)` for each field, past the guard of a frozen dataclass."""
    made: dict[str, Any] = {"new": object.__new__}
    for name in names:
        made[f"set_{name}"] = getattr(getattr(cls, name, None), "__set__", None) or _by_name(name)
    return made


def _twin(cls: type[Any], names: Sequence[str]) -> type[Any] | None:
    """Return a class that looks the same in memory but isn't frozen; None where there is none.

    Its fields are set by plain assignments, which take a third less time than calls of setters.
    """
    twin: type[Any] = type("Twin", (), {"__slots__": tuple(names)})
    try:
        object.__new__(twin).__class__ = cls
    except TypeError:  # it has a base with fields, or no slots
        return None
    return twin


def _by_name(name: str) -> Callable[[Any, Any], None]:
    def set_it(instance: Any, value: Any) -> None:
        object.__setattr__(instance, name, value)

    return set_it


def _function(name: str, lines: Sequence[str], known: dict[str, Any]) -> Callable[..., Any]:
    source = "\n".join(lines)
    exec(compile(source, f"<{__name__}>", "exec"), known)
    made: Callable[..., Any] = known[name]
    return made
