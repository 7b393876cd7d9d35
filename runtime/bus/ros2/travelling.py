"""Definitions that travel with a bag: types of its robot that nobody here knows otherwise.

They are text of a stranger. So a definition is bounded before anything is made of it: in size, in
how deep messages stand in each other, and in how many fields that comes to in all.

Source: MCAP, well-known schema encodings `ros2msg` and `ros2idl`; rosbag2_storage_sqlite3, table
`message_definitions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from olympus.runtime.bus.ros2.catalogue import Catalogue
from olympus.runtime.bus.ros2.cdr import Codec, Codecs
from olympus.runtime.bus.ros2.definitions import Definition, check_type_name
from olympus.runtime.bus.ros2.idl import parse_idl
from olympus.runtime.bus.ros2.mapping import Context, Mapper
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Message, RosValue

MAX_TEXT = 256 * 2**10
"""Bytes of one type's definition, those of all that it holds included."""
MAX_ALL_TEXT = 8 * 2**20
"""Bytes of the definitions of one bag that are read."""
MAX_DEPTH = 32
"""How deep messages may stand in each other."""
MAX_FIELDS = 10_000
"""Fields of a message, and of the messages in it, each as often as it stands there."""
WAY_OUT = (
    "name the folder of its package with --interfaces, which `olympus store import` and "
    "`olympus ros2` have"
)
_HASH = "RIHS01_"
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?\Z")
_CUT = re.compile(r"(?m)^={3,}[ \t]*\r?$")
_HEADING = re.compile(r"\s*(?P<kind>MSG|IDL|SRV|ACTION):[ \t]*(?P<name>\S+)[ \t]*\r?(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Told:
    """What a bag says of a type."""

    encoding: str = ""
    """`ros2msg` or `ros2idl`; empty where there is no definition."""
    text: bytes = b""
    hash: str = ""
    """RIHS01; empty where it is not given."""


@dataclass(frozen=True, slots=True)
class BagType:
    """A type of a bag."""

    codec: Codec
    text: str = ""
    """Its definition as `ros2msg`, where only the bag knows it so; else empty."""
    parts: tuple[Definition, ...] = ()
    """It and what it holds, likewise."""


class BagTypes:
    """Finds each type of a bag: in the catalogue, or by what the bag says itself."""

    def __init__(self, mapper: Mapper) -> None:
        """Take what is known without the bag."""
        self._mapper, self._codecs = mapper, mapper.codecs
        self._found: dict[tuple[str, Told], BagType | str] = {}
        self._read = 0

    def get(self, type_: str, told: Told) -> BagType:
        """Return a type.

        Raises:
            MessageError: There is no definition, it can't be used, or it is not the one by which
                the messages were written; says the way out.
        """
        key = type_, told
        if key not in self._found:
            try:
                self._found[key] = self._find(type_, told)
            except MessageError as error:
                self._found[key] = str(error)
        found = self._found[key]
        if isinstance(found, str):
            raise MessageError(found)
        return found

    def messages(self, type_: str, told: Told, cdr: bytes, ctx: Context) -> list[Message]:
        """Return a message of a bag as messages of ours.

        Raises:
            MessageError: It can't be read.
        """
        found = self.get(type_, told)
        value = found.codec.decode(cdr)
        if found.text:
            return [as_it_came(found, cdr, ctx)]
        return [self._mapper.from_ros(one, None, ctx) for one in self._mapper.each(value)]

    def adopt(self, type_: str, told: Told) -> str:
        """Let the catalogue know a type of the bag; return its full name.

        Raises:
            MessageError: It can't be read, or something else goes by its name here.
        """
        found = self.get(type_, told)
        for one in found.parts:
            if not self._codecs.catalogue.has(one.name):
                self._codecs.catalogue.put(one)
        if self._codecs.get(found.codec.name).hash != found.codec.hash:
            raise MessageError(
                f"{found.codec.name} is another type here than in the bag; name the distribution "
                f"of the bag with --distro, or {WAY_OUT}"
            )
        return found.codec.name

    def our_class(self, type_: str, told: Told) -> type[Message]:
        """Return the class that messages of a type become; RosValue where they can't be read."""
        try:
            found = self.get(type_, told)
        except MessageError:
            return RosValue  # each message of it will be refused, with the reason
        return RosValue if found.text else self._mapper.our_class(found.codec.name)

    def texts(self) -> dict[str, str]:
        """Return the definitions of the types that only the bag knows so, by type."""
        found = [one for one in self._found.values() if isinstance(one, BagType)]
        return {one.codec.name: one.text for one in found if one.text}

    def _find(self, type_: str, told: Told) -> BagType:
        known = self._codecs.get(type_) if self._codecs.catalogue.has(type_) else None
        if known is not None and told.hash == known.hash:
            return BagType(known)
        if not told.text:
            return BagType(_without(type_, told, known))
        try:
            found = self._brought(type_, told)
        except MessageError as error:
            if known is not None and not told.hash:
                return BagType(known)
            raise MessageError(
                f"the bag's definition of {type_} can't be used: {error}; {WAY_OUT}"
            ) from error
        if told.hash.startswith(_HASH) and found.codec.hash != told.hash:
            raise MessageError(
                f"{type_} was of another definition when this was recorded: its messages had the "
                f"hash {told.hash:.17}…, the bag's text gives {found.codec.hash:.17}…; {WAY_OUT}"
            )
        if known is not None and found.codec.hash == known.hash:
            return BagType(known)
        return found

    def _brought(self, type_: str, told: Told) -> BagType:
        """Return a type as the bag's text says.

        Raises:
            MessageError: The text can't be understood, or asks for too much.
        """
        self._read += len(told.text)
        if self._read > MAX_ALL_TEXT:
            raise MessageError(f"more than {MAX_ALL_TEXT} bytes of definitions in one bag")
        catalogue = self._codecs.catalogue.copy()
        _take(catalogue, type_, told)
        _Bounds(catalogue).check(check_type_name(type_))
        parts = tuple(catalogue.parts(type_))
        return BagType(Codecs(catalogue).get(type_), catalogue.schema_text(type_), parts)


def as_it_came(found: BagType, cdr: bytes, ctx: Context) -> RosValue:
    """Return a message of a type that only the bag knows."""
    return RosValue(header=ctx.sent, type=found.codec.name, cdr=np.frombuffer(cdr, np.uint8))


def _without(type_: str, told: Told, known: Codec | None) -> Codec:
    """Return the codec of a type of which the bag holds no text.

    Raises:
        MessageError: It is not known here, or was another one then.
    """
    if known is None:
        raise MessageError(f"no definition of {type_}, and none in the bag; {WAY_OUT}")
    if told.hash.startswith(_HASH):
        raise MessageError(
            f"{type_} was of another definition when this was recorded, and the bag does not say "
            f"of which; {WAY_OUT}"
        )
    return known


def _take(catalogue: Catalogue, type_: str, told: Told) -> None:
    """Take the text that travels with a type into a catalogue: it, and what it holds.

    Raises:
        MessageError: The text is too long, or can't be understood.
    """
    if len(told.text) > MAX_TEXT:
        raise MessageError(f"{len(told.text)} bytes of text; {MAX_TEXT} are allowed")
    if told.encoding not in ("ros2msg", "ros2idl"):
        raise MessageError(f"it is {told.encoding!r:.40}; ros2msg and ros2idl are read here")
    try:
        parts = _CUT.split(told.text.decode())
    except UnicodeDecodeError as error:
        raise MessageError("its text is no UTF-8") from error
    for part in parts:
        heading = _HEADING.match(part)
        body = part[heading.end() :] if heading else part
        if (heading["kind"] if heading else told.encoding) in ("IDL", "ros2idl"):
            for one in parse_idl(body):
                catalogue.put(one)
        elif heading or body.strip():
            catalogue.add(heading["name"] if heading else type_, body)


class _Bounds:
    """Refuses a message that holds itself, goes too deep, or comes to too many fields."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._sizes: dict[str, tuple[int, int]] = {}
        """Fields and depth of each message that was looked at."""

    def check(self, name: str, above: tuple[str, ...] = ()) -> tuple[int, int]:
        """Return how many fields a message comes to, and how deep it goes.

        Raises:
            MessageError: That is too much, a name in it is none of ROS, or it is not defined.
        """
        if name in above:
            raise MessageError(f"{name} holds itself")
        if name not in self._sizes:
            self._sizes[name] = self._look(name, above)
        fields, depth = self._sizes[name]
        if depth + len(above) > MAX_DEPTH:
            raise MessageError(f"messages in each other, more than {MAX_DEPTH} deep")
        if fields > MAX_FIELDS:
            raise MessageError(f"more than {MAX_FIELDS} fields, those of inner messages counted")
        return fields, depth

    def _look(self, name: str, above: tuple[str, ...]) -> tuple[int, int]:
        if len(above) > MAX_DEPTH:
            return 0, MAX_DEPTH
        if not self._catalogue.has(name):
            raise MessageError(f"{name} is not defined in it")
        definition, fields, depth = self._catalogue.get(name), 0, 0
        _check_names(definition)
        for field in definition.fields:
            inner = (0, 0)
            if not field.type.is_primitive:
                inner = self.check(field.type.base, (*above, name))
            fields, depth = fields + 1 + inner[0], max(depth, inner[1])
        return fields, depth + 1


def _check_names(definition: Definition) -> None:
    """Refuse names that ROS does not have; two of them could become one attribute.

    Raises:
        MessageError: There is such a name.
    """
    names = [field.name for field in definition.fields]
    for name in names + [constant.name for constant in definition.constants]:
        if not _NAME.match(name):
            raise MessageError(f"{definition.name}: {name!r:.40} is no name of a field")
