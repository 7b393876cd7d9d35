"""Functions made for one dataclass, field by field, as `dataclasses` itself makes `__init__`.

A frozen dataclass sets each field through `object.__setattr__` and a loop over fields looks each
one up; what a bus does for every message must not. The source below is put together from the names
of fields alone, never from anything that arrived.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from olympus.runtime.errors import MessageError
from olympus.runtime.messages.within import Choice, Free, Items, Pairs, Record
from olympus.runtime.quick import quick

if TYPE_CHECKING:
    from olympus.runtime.messages.schema import Kind

T = TypeVar("T")
_INLINE = {
    "bool": "type({v} := {value}) is bool",
    "str": "type({v} := {value}) is str",
    "bytes": "type({v} := {value}) is bytes",
    "int": "type({v} := {value}) is int and -9223372036854775808 <= {v} <= 9223372036854775807",
    "float": "type({v} := {value}) is float",
}
"""When a value of such a kind, now called `v`, can be taken as it is; else the kind's own function
decides."""


def maker(cls: type[T]) -> Callable[..., T]:
    """Return what makes an instance of a dataclass from all its fields, by place, unchecked.

    In C where that is built and the class has its fields in slots; see quick/makers.c.
    """
    names = [one.name for one in dataclasses.fields(cls)]  # type: ignore[arg-type]
    is_slotted = all(base is object or "__slots__" in vars(base) for base in cls.__mro__)
    if quick is not None and is_slotted:
        made: Callable[..., T] = quick.Maker(cls, tuple(names))
        return made
    return python_maker(cls)


def python_maker(cls: type[T]) -> Callable[..., T]:
    """Return the same in Python, whatever is built: the reference."""
    names = [one.name for one in dataclasses.fields(cls)]  # type: ignore[arg-type]
    known: dict[str, Any] = {}
    lines = [
        f"def make({', '.join(names)}):",
        *making("made", cls, {name: name for name in names}, known),
        " return made",
    ]
    return function("make", lines, known)


def making(
    made: str, cls: type[Any], values: Mapping[str, str], known: dict[str, Any]
) -> list[str]:
    """Return lines which make an instance of a dataclass, unchecked, within a function.

    Args:
        made: The variable that holds it afterwards; other names begin with it.
        cls: The dataclass.
        values: An expression for each of its fields.
        known: Takes in what the lines need to know.
    """
    known |= {"new": object.__new__, f"{made}_cls": cls}
    if twin := _twin(cls, list(values)):
        known[f"{made}_twin"] = twin
        return [
            f" {made} = new({made}_twin)",
            *(f" {made}.{name} = {value}" for name, value in values.items()),
            f" {made}.__class__ = {made}_cls",
        ]
    known |= {f"{made}_{name}": setter for name, setter in _setters(cls, list(values)).items()}
    return [
        f" {made} = new({made}_cls)",
        *(f" {made}_set_{name}({made}, {value})" for name, value in values.items()),
    ]


def changer(cls: type[T], name: str) -> Callable[[T, Any], T]:
    """Return what makes a copy of an instance in which one field is another, unchecked."""
    names = [one.name for one in dataclasses.fields(cls)]  # type: ignore[arg-type]
    lines = [f"def change(old, {name}):", " made = new(cls)"]
    lines += [f" set_{n}(made, {n if n == name else f'old.{n}'})" for n in names]
    return function("change", [*lines, " return made"], {**_setters(cls, names), "cls": cls})


def lazily(make: Callable[..., Callable[..., T]], *words: Any) -> Callable[..., T]:
    """Return a function that is made when it is called first: most never are in a process."""
    made: Callable[..., T] | None = None

    def call(*arguments: Any) -> T:
        nonlocal made
        if made is None:
            made = make(*words)
        return made(*arguments)

    return call


def packer(
    names: Sequence[str], kinds: Sequence[Kind], complain: Callable[[Any], object] | None = None
) -> Callable[..., list[Any]]:
    """Return what turns some fields of an instance into a list: `(value, arrays) -> list`.

    Args:
        names: Of the fields.
        kinds: Of the fields.
        complain: Called with an instance that can't be packed; raises what says better why.
    """
    source = _Source()
    items = [source.pack(kind, f"value.{name}") for name, kind in zip(names, kinds, strict=True)]
    lines = ["def pack(value, arrays):", f" return [{', '.join(items)}]"]
    if complain is not None:
        lines[1:] = [
            " try:",
            f" {lines[1]}",
            " except MessageError:",
            "  complain(value)",
            "  raise",
        ]
        source.known |= {"MessageError": MessageError, "complain": complain}
    return function("pack", lines, source.known)


def unpacker(cls: type[Any], kinds: Sequence[Kind]) -> Callable[..., Any]:
    """Return what turns a list into an instance, checked: `(items, arrays, where) -> instance`."""
    return _unpacker(cls, kinds, None)


@dataclass(frozen=True, slots=True)
class First:
    """Where the first field of an instance comes from, while the others are unpacked."""

    arguments: str = "first"
    """Names, with commas in between."""
    lines: Sequence[str] = ()
    """Make it out of them, as `making` does; it is called `first`."""
    known: Mapping[str, Any] = field(default_factory=dict)


def rest_unpacker(cls: type[Any], kinds: Sequence[Kind], first: First) -> Callable[..., Any]:
    """Return the same for all fields but the first, which is made of what is given besides.

    `(items, arrays, where, *arguments of first) -> instance`
    """
    return _unpacker(cls, kinds, first)


def items_packer(kind: Kind) -> Callable[..., list[Any]]:
    """Return what turns items of one kind into a list: `(items, arrays) -> list`."""
    source = _Source()
    lines = ["def pack(items, arrays):", f" return [{source.pack(kind, 'item')} for item in items]"]
    return function("pack", lines, source.known)


def items_unpacker(kind: Kind) -> Callable[..., tuple[Any, ...]]:
    """Return what turns a list into items of one kind: `(items, arrays, where) -> tuple`."""
    source = _Source()
    item = source.unpack(kind, "item")
    lines = ["def unpack(items, arrays, where):", f" return tuple([{item} for item in items])"]
    return function("unpack", lines, source.known)


def _unpacker(cls: type[Any], kinds: Sequence[Kind], first: First | None) -> Callable[..., Any]:
    names = [one.name for one in dataclasses.fields(cls)]
    given = int(first is not None)
    wanted, source = len(names) - given, _Source()
    source.known.update(_setters(cls, names))
    source.known |= {"cls": cls, "MessageError": MessageError}
    source.known["complain"] = _complainer(names[given:], kinds[given:])
    source.known |= first.known if first is not None else {}
    lines = [
        f"def unpack(items, arrays, where{', ' + first.arguments if first is not None else ''}):",
        f" if type(items) is not list or len(items) != {wanted}:",
        f"  raise MessageError(f'{{where}}: {wanted} fields of {cls.__name__} are needed')",
        " made = new(cls)",
        *([*first.lines, f" set_{names[0]}(made, first)"] if first is not None else []),
        " try:",
        "  pass",
    ]
    for index, name in enumerate(names[given:]):
        value = source.unpack(kinds[index + given], f"items[{index}]")
        lines.append(f"  set_{name}(made, {value})")
    lines += [" except MessageError:", "  complain(items, arrays, where)", "  raise"]
    if hasattr(cls, "__post_init__"):
        lines += [
            " try:",
            "  made.__post_init__()",
            " except ValueError as error:",
            "  raise MessageError(f'{where}: {error}') from error",
        ]
    return function("unpack", [*lines, " return made"], source.known)


def _complainer(names: Sequence[str], kinds: Sequence[Kind]) -> Callable[..., None]:
    """Return what says which field it is that can't be read: `(items, arrays, where)`."""

    def complain(items: list[Any], arrays: Any, where: str) -> None:
        for name, kind, item in zip(names, kinds, items, strict=True):
            kind.unpack(item, arrays, f"{where}.{name}")

    return complain


class _Source:
    """Expressions that do what functions of kinds do, as far as all is as it should be.

    What is not is left to the kind's own function, which says what is wrong with it.
    """

    def __init__(self) -> None:
        self.known: dict[str, Any] = {"ndarray": np.ndarray}
        self._count = 0

    def pack(self, kind: Kind, value: str) -> str:
        """Return an expression that packs what the expression `value` gives."""
        v, slow = self._new("v"), self._new("pack", kind.pack)
        match kind.within:
            case Items(item, most):
                each = self._new("v")
                made = f"[{self.pack(item, each)} for {each} in {v}]"
                test = f"type({v} := {value}) is tuple and len({v}) <= {most}"
            case Record(cls, names, kinds):
                fields = [self.pack(k, f"{v}.{n}") for n, k in zip(names, kinds, strict=True)]
                made = f"[{', '.join(fields)}]"
                test = f"type({v} := {value}) is {self._new('cls', cls)}"
            case Pairs():
                made, test = "{}", f"type({v} := {value}) is dict and not {v}"
            case Choice(cls, values):
                made = f"{self._new('values', values)}[{v}]"
                test = f"type({v} := {value}) is {self._new('cls', cls)}"
            case Free():
                # `append` gives None, so that the whole is the place of what was appended.
                made = f"(arrays.append({v}) or len(arrays) - 1)"
                test = self._is_free(kind.within, v, value)
            case None if kind.text in _INLINE:
                made, test = v, _INLINE[kind.text].format(v=v, value=value)
            case None:
                return f"{slow}({value}, arrays)"
        return f"({made} if {test} else {slow}({v}, arrays))"

    def unpack(self, kind: Kind, value: str) -> str:
        """Return an expression that unpacks what the expression `value` gives."""
        v, slow = self._new("v"), self._new("unpack", kind.unpack)
        match kind.within:
            case Items(item):
                each = self._new("v")
                made = f"tuple([{self.unpack(item, each)} for {each} in {v}])"
                test = f"type({v} := {value}) is list"
            case Record(cls, _, kinds) if not hasattr(cls, "__post_init__"):
                fields = [self.unpack(k, f"{v}[{i}]") for i, k in enumerate(kinds)]
                made = f"{self._new('make', python_maker(cls))}({', '.join(fields)})"
                test = f"type({v} := {value}) is list and len({v}) == {len(kinds)}"
            case Pairs():
                made, test = "{}", f"type({v} := {value}) is dict and not {v}"
            case Choice(_, values):
                members = self._new("members", {one: member for member, one in values.items()})
                made = f"{members}[{v}]"
                test = f"type({v} := {value}) in (int, str) and {v} in {members}"
            case Free():
                made = self._new("v")
                known = f"type({v} := {value}) is int and 0 <= {v} < len(arrays)"
                test = f"{known} and {self._is_free(kind.within, made, f'arrays[{v}]')}"
            case None if kind.text in _INLINE:
                made, test = v, _INLINE[kind.text].format(v=v, value=value)
            case _:
                return f"{slow}({value}, arrays, where)"
        return f"({made} if {test} else {slow}({v}, arrays, where))"

    def _is_free(self, free: Free, v: str, value: str) -> str:
        kind = f"{v}.dtype is {self._new('dtype', free.dtype)} and {v}.ndim == {free.ndim}"
        return f"type({v} := {value}) is ndarray and {kind}"

    def _new(self, stem: str, value: object = None) -> str:
        self._count += 1
        name = f"{stem}_{self._count}"
        if value is not None:
            self.known[name] = value
        return name


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


def function(name: str, lines: Sequence[str], known: dict[str, Any]) -> Callable[..., Any]:
    """Return the function `name` that some lines of source define, which know `known`."""
    source = "\n".join(lines)
    exec(compile(source, f"<{__name__}>", "exec"), known)
    made: Callable[..., Any] = known[name]
    return made
