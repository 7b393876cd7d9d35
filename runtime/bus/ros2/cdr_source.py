"""Writes the Python source of a codec; see cdr.py for what it runs in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from olympus.runtime.bus.ros2.definitions import Definition, Field, FieldType
from olympus.runtime.bus.ros2.record import DTYPES, attribute
from olympus.runtime.errors import MessageError

CODES = {
    "bool": "?",
    "byte": "B",
    "char": "B",
    "uint8": "B",
    "int8": "b",
    "uint16": "H",
    "int16": "h",
    "uint32": "I",
    "int32": "i",
    "uint64": "Q",
    "int64": "q",
    "float32": "f",
    "float64": "d",
}
Lookup = Callable[[str], Definition]
MAX_ITEMS = 2**20
"""Most messages in an array: each becomes an object, larger than the bytes it came from."""


class Writer:
    """Generates `put` and `take` of one message.

    Messages within it are written out in place, so that neighbouring numbers of different messages
    still form one run.
    """

    def __init__(self, definition: Definition, lookup: Lookup) -> None:
        self.runs: list[str] = []
        """For each run of numbers, their struct codes."""
        self.dtypes: set[str] = set()
        self._lookup = lookup
        self._puts: list[str] = []
        self._takes: list[str] = []
        self._open: list[tuple[str, str, str]] = []
        """The run being gathered: struct code, expression to send, variable to read into."""
        self._count = 0
        made = self._message(definition, "v", definition.name)
        self._close_run()
        self.source = "\n".join(
            [
                "def put(v, out, p):",
                *(f"    {line}" for line in self._puts),
                "    return p",
                "def take(b, p, end):",
                *(f"    {line}" for line in self._takes),
                f"    return {made}, p",
            ]
        )

    def _message(self, definition: Definition, path: str, where: str) -> str:
        """Write a message out; return the expression that makes it of what was read."""
        items = [
            self._field(field, f"{path}.{attribute(field.name)}", f"{where}.{field.name}")
            for field in definition.fields
        ]
        return f"classes[{definition.name!r}]({', '.join(items)})"

    def _field(self, field: Field, path: str, where: str) -> str:
        kind = field.type
        if kind.base == "wstring":
            raise MessageError(f"{where}: wstring is not read here; middlewares differ about it")
        if not kind.is_array and kind.base in CODES:
            variable = self._variable()
            self._open.append((CODES[kind.base], path, variable))
            return variable
        if not kind.is_array and not kind.is_primitive:
            return self._message(self._lookup(kind.base), path, where)
        self._close_run()
        variable = self._variable()
        if not kind.is_array:
            self._string(path, variable, kind, where)
        elif kind.base in DTYPES:
            self._number_array(path, variable, kind, where)
        else:
            self._other_array(path, variable, kind, where)
        return variable

    def _variable(self) -> str:
        self._count += 1
        return f"x{self._count}"

    def _close_run(self) -> None:
        if not self._open:
            return
        number = len(self.runs)
        self.runs.append("".join(code for code, _, _ in self._open))
        values = ", ".join(path for _, path, _ in self._open)
        variables = "".join(f"{variable}, " for _, _, variable in self._open)
        self._puts += [
            f"s = RUNS[{number}][p & 7]",
            f"out.append(s.pack({values}))",
            "p += s.size",
        ]
        self._takes += [
            f"s = RUNS[{number}][p & 7]",
            f"{variables}= s.unpack_from(b, p)",
            "p += s.size",
        ]
        self._open = []

    def _string(self, path: str, variable: str, kind: FieldType, where: str) -> None:
        most = f"if n > {kind.most_chars + 1}: raise beyond({where!r}, n - 1, {kind.most_chars})"
        bound = [most] if kind.most_chars else []
        self._puts += [
            f"t = {path}.encode()",
            "n = len(t) + 1",
            *bound,
            "q = -p & 3",
            "out += (LENGTH[q].pack(n), t, ZEROS[1])",
            "p += q + 4 + n",
        ]
        self._takes += [
            *self._take_length(),
            *bound,
            f"if p + n > end: raise beyond({where!r}, n, end - p)",
            f"{variable} = text(b, p, p + n, {where!r})",
            "p += n",
        ]

    def _take_length(self) -> list[str]:
        return ["q = -p & 3", "n, = LENGTH[q].unpack_from(b, p)", "p += q + 4"]

    def _put_length(self) -> list[str]:
        return ["q = -p & 3", "out.append(LENGTH[q].pack(n))", "p += q + 4"]

    def _count_check(self, kind: FieldType, where: str) -> list[str]:
        """Check the number of items that are to be sent, or that a sequence claims to have."""
        if kind.is_fixed:
            return [f"if n != {kind.count}: raise beyond({where!r}, n, {kind.count})"]
        if kind.is_bounded:
            return [f"if n > {kind.count}: raise beyond({where!r}, n, {kind.count})"]
        return []

    def _number_array(self, path: str, variable: str, kind: FieldType, where: str) -> None:
        code = DTYPES[kind.base]
        self.dtypes.add(code)
        size = int(code[-1]) if code != "?" else 1
        align = [f"    p += -p & {size - 1}"] if size > 1 else []
        pad = [f"    q = -p & {size - 1}", "    out.append(ZEROS[q])", "    p += q"]
        self._puts += [
            f"a = numbers({path}, {code!r})",
            "n = a.size",
            *self._count_check(kind, where),
            *([] if kind.is_fixed else self._put_length()),
            "if n:",
            *(pad if size > 1 else []),
            "    out.append(a.data)",
            "    p += a.nbytes",
        ]
        self._takes += [
            *([f"n = {kind.count}"] if kind.is_fixed else self._take_length()),
            *([] if kind.is_fixed else self._count_check(kind, where)),
            "if n:",
            *align,
            f"    if n * {size} > end - p: raise beyond({where!r}, n, (end - p) // {size})",
            f"    {variable} = {_read_numbers(code)}",
            f"    p += n * {size}",
            "else:",
            f"    {variable} = EMPTY[{code!r}]",
        ]

    def _other_array(self, path: str, variable: str, kind: FieldType, where: str) -> None:
        """Write an array of strings or of messages."""
        self._puts += [
            f"n = len({path})",
            *self._count_check(kind, where),
            *([] if kind.is_fixed else self._put_length()),
        ]
        least = 4 if kind.base == "string" else max(1, self._least(self._lookup(kind.base)))
        self._takes += [
            *([f"n = {kind.count}"] if kind.is_fixed else self._take_length()),
            *([] if kind.is_fixed else self._count_check(kind, where)),
            f"m = min((end - p) // {least}, {MAX_ITEMS})",
            f"if n > m: raise beyond({where!r}, n, m)",
            f"{variable} = []",
        ]
        if kind.base == "string":
            self._looped(path, variable, kind, where)
            return
        self._puts += [
            f"put_one = codecs[{kind.base!r}].put",
            f"for w in {path}: p = put_one(w, out, p)",
        ]
        self._takes += [
            f"take_one = codecs[{kind.base!r}].take",
            "for _ in range(n):",
            "    w, p = take_one(b, p, end)",
            f"    {variable}.append(w)",
        ]

    def _least(self, definition: Definition) -> int:
        """Return how many bytes a message takes at the very least."""
        return sum(self._least_of(field.type) for field in definition.fields)

    def _least_of(self, kind: FieldType) -> int:
        if kind.is_array and not kind.is_fixed:
            return 4
        if kind.base == "string":
            one = 4
        elif kind.base in DTYPES:
            one = np.dtype(DTYPES[kind.base]).itemsize
        else:
            one = self._least(self._lookup(kind.base))
        return one * (kind.count if kind.is_fixed else 1)

    def _looped(self, path: str, variable: str, kind: FieldType, where: str) -> None:
        """Write the strings of an array one by one."""
        outer_puts, outer_takes = self._puts, self._takes
        self._puts, self._takes = [], []
        self._string("w", "w", FieldType("string", most_chars=kind.most_chars), where)
        inner_puts, inner_takes = self._puts, self._takes
        self._puts = [*outer_puts, f"for w in {path}:", *(f"    {line}" for line in inner_puts)]
        self._takes = [
            *outer_takes,
            "for _ in range(n):",
            *(f"    {line}" for line in inner_takes),
            f"    {variable}.append(w)",
        ]


def _read_numbers(code: str) -> str:
    if code == "?":  # a byte other than 0 and 1 is no valid truth value for numpy
        return "frombuffer(b, 'u1', n, p) != 0"
    return f"frombuffer(b, {code!r}, n, p)"
