"""Interface definitions as `.idl` text: that part of OMG's language which ROS 2 writes into bags.

Modules, structs, typedefs, constants, sequences, arrays and bounded strings; annotations and
comments say nothing of how a message travels and are passed over.

Source: design.ros2.org, "IDL - Interface Definition and Language Mapping"; OMG IDL 4.2.
"""

from __future__ import annotations

import re
from dataclasses import replace

from olympus.runtime.bus.ros2.definitions import (
    FILLER,
    Definition,
    Field,
    FieldType,
    check_type_name,
    refuse_twins,
)
from olympus.runtime.errors import MessageError

_TOKEN = re.compile(
    # What is never closed ends with the text or the line: so each letter is looked at once.
    r'\s+|//[^\n]*|/\*.*?(?:\*/|\Z)|\#[^\n]*|(?P<token>"(?:[^"\\\n]|\\.)*"?|'
    r"'(?:[^'\\\n]|\\.)*'?|"
    r"[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*|::|[-+.\w]+|[^\s\w])",
    re.DOTALL | re.ASCII,
)
_WORDS = {
    "boolean": "bool", "octet": "byte", "float": "float32",
    "double": "float64", "short": "int16", "long": "int32", "long long": "int64",
    "unsigned short": "uint16", "unsigned long": "uint32", "unsigned long long": "uint64",
    "int8": "int8", "uint8": "uint8", "int16": "int16", "uint16": "uint16", "int32": "int32",
    "uint32": "uint32", "int64": "int64", "uint64": "uint64",
}  # fmt: skip
_MORE_OF_A_NUMBER = {"unsigned": ("short", "long"), "long": ("long",)}
_MAX_DEPTH = 16
"""Of modules and of sequences in each other; ROS has three of the one, one of the other."""


def parse_idl(text: str) -> list[Definition]:
    """Read the structs of an `.idl` text.

    Raises:
        MessageError: It can't be understood, or says what ROS 2 has no message for.
    """
    return _Reader(text).read()


class _Reader:
    """Goes through the tokens once."""

    def __init__(self, text: str) -> None:
        self._tokens = [m["token"] for m in _TOKEN.finditer(text) if m["token"]][::-1]
        self._kinds: dict[str, FieldType] = {}
        """Typedefs, by full name."""
        self._numbers: dict[str, int] = {}
        """Constants that can be the size of something, by full name."""
        self._made: list[Definition] = []

    def read(self) -> list[Definition]:
        """Return what the text defines.

        Raises:
            MessageError: It can't be understood.
        """
        while self._tokens:
            self._part(())
        return self._made

    def _part(self, scope: tuple[str, ...]) -> None:
        """Read one definition, with what is before it, to its semicolon.

        Raises:
            MessageError: It is none that is read here.
        """
        self._annotations()
        word = self._next()
        if word == "module":
            self._module(scope)
        elif word == "struct":
            self._struct(scope)
        elif word == "typedef":
            kind = self._kind(scope)
            name, kind = self._declared(kind, scope)
            self._kinds["::".join((*scope, name))] = kind
        elif word == "const":
            self._constant(scope)
        else:
            raise MessageError(f"IDL: {word!r:.40} is not read here; ROS messages are structs")
        self._expect(";")

    def _module(self, scope: tuple[str, ...]) -> None:
        if len(scope) >= _MAX_DEPTH:
            raise MessageError(f"IDL: more than {_MAX_DEPTH} modules in each other")
        inner = (*scope, self._next())
        self._expect("{")
        while not self._is_next("}"):
            self._part(inner)

    def _struct(self, scope: tuple[str, ...]) -> None:
        name = check_type_name("/".join((*scope, self._next())))
        self._expect("{")
        fields: list[Field] = []
        while not self._is_next("}"):
            self._annotations()
            kind = self._kind(scope)
            fields.append(Field(*self._declared(kind, scope)))
            while self._is_next(","):
                fields.append(Field(*self._declared(kind, scope)))
            self._expect(";")
        refuse_twins(name, [one.name for one in fields])
        self._made.append(Definition(name, tuple(fields) or (Field(FILLER, FieldType("uint8")),)))

    def _constant(self, scope: tuple[str, ...]) -> None:
        self._kind(scope)
        name = "::".join((*scope, self._next()))
        self._expect("=")
        value = ""
        while self._tokens and self._tokens[-1] != ";":
            value += self._next()
        if re.fullmatch(r"\d{1,9}", value):
            self._numbers[name] = int(value)

    def _annotations(self) -> None:
        while self._is_next("@"):
            self._next()
            if not self._is_next("("):
                continue
            depth = 1
            while depth:
                depth += {"(": 1, ")": -1}.get(self._next(), 0)

    def _kind(self, scope: tuple[str, ...], depth: int = 0) -> FieldType:
        word = self._next()
        if word in ("string", "wstring"):
            return FieldType(word, most_chars=self._bound(scope))
        if word == "sequence":
            return self._sequence(scope, depth)
        while self._tokens and self._tokens[-1] in _MORE_OF_A_NUMBER.get(
            word.rpartition(" ")[2], ()
        ):
            word += f" {self._next()}"
        if word in _WORDS:
            return FieldType(_WORDS[word])
        return self._named(word, scope)

    def _sequence(self, scope: tuple[str, ...], depth: int) -> FieldType:
        if depth:
            raise MessageError("IDL: a sequence of sequences; ROS 2 has none")
        self._expect("<")
        inner = self._kind(scope, depth + 1)
        if inner.is_array:
            raise MessageError("IDL: a sequence of arrays; ROS 2 has none")
        most = self._size(scope) if self._is_next(",") else 0
        self._expect(">")
        return replace(inner, is_array=True, count=most, is_bounded=most > 0)

    def _named(self, word: str, scope: tuple[str, ...]) -> FieldType:
        """Return the type of a name: of a typedef, looked for from the inside out, or a message."""
        for depth in range(len(scope), -1, -1):
            known = self._kinds.get("::".join((*scope[:depth], word)))
            if known is not None:
                return known
        parts = word.split("::")
        full = parts if len(parts) > 1 else [*scope, word]
        return FieldType(check_type_name("/".join(full)))

    def _declared(self, kind: FieldType, scope: tuple[str, ...]) -> tuple[str, FieldType]:
        name = self._next()
        if not name.isidentifier():
            raise MessageError(f"IDL: {name!r:.40} where a name is needed")
        if not self._is_next("["):
            return name, kind
        if kind.is_array:
            raise MessageError(f"IDL: {name} is an array of arrays; ROS 2 has none")
        size = self._size(scope)
        self._expect("]")
        if not size:
            raise MessageError(f"IDL: {name} is an array of nothing")
        return name, replace(kind, is_array=True, count=size)

    def _bound(self, scope: tuple[str, ...]) -> int:
        if not self._is_next("<"):
            return 0
        size = self._size(scope)
        self._expect(">")
        return size

    def _size(self, scope: tuple[str, ...]) -> int:
        word = self._next()
        if re.fullmatch(r"\d{1,9}", word):
            return int(word)
        for depth in range(len(scope), -1, -1):
            known = self._numbers.get("::".join((*scope[:depth], word)))
            if known is not None:
                return known
        raise MessageError(f"IDL: {word!r:.40} is no size")

    def _is_next(self, token: str) -> bool:
        """Tell whether a token comes now, and step over it if so."""
        is_it = bool(self._tokens) and self._tokens[-1] == token
        if is_it:
            self._tokens.pop()
        return is_it

    def _next(self) -> str:
        if not self._tokens:
            raise MessageError("IDL: the text ends within a definition")
        return self._tokens.pop()

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise MessageError(f"IDL: {found!r:.40} where {token!r} is needed")
