"""The catalogue: every interface that is known, standard ones, ours, and the user's own files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from olympus.runtime.bus.ros2.definitions import (
    KINDS,
    Definition,
    Field,
    FieldType,
    check_type_name,
    parse,
)
from olympus.runtime.errors import ConfigError, MessageError, did_you_mean

DISTROS = ("humble", "jazzy", "kilted", "lyrical", "rolling")
_HERE = Path(__file__).parent
_OVERLAYS = {"humble": "humble", "kilted": "kilted", "lyrical": "lyrical", "rolling": "lyrical"}
OWN_PACKAGE = _HERE / "olympus_msgs"
"""The ROS package of Olympus' own message types."""


class Catalogue:
    """Definitions by name; services and actions with all that ROS derives from them."""

    def __init__(self) -> None:
        self._messages: dict[str, Definition] = {}
        self._services: set[str] = set()
        self._actions: set[str] = set()

    def copy(self) -> Catalogue:
        """Return a catalogue of the same definitions, to which others can be added."""
        made = Catalogue()
        made._messages = self._messages.copy()
        made._services, made._actions = self._services.copy(), self._actions.copy()
        return made

    def add(self, name: str, text: str) -> None:
        """Take in a definition; a later one of the same name wins.

        Args:
            name: Full name, such as `my_msgs/msg/Thing`.
            text: What its file says.

        Raises:
            MessageError: The text can't be understood.
        """
        name = check_type_name(name)
        for definition in parse(name, text):
            self._messages[definition.name] = definition
        if "/srv/" in name:
            self._add_service(name)
        if "/action/" in name:
            self._add_action(name)

    def put(self, definition: Definition) -> None:
        """Take in a message that was read already; a later one of the same name wins."""
        self._messages[definition.name] = definition

    def add_folder(self, folder: Path) -> int:
        """Take in a ROS package, or a folder of packages: its `.msg`, `.srv` and `.action` files.

        Returns:
            How many files were read.

        Raises:
            ConfigError: There is no such folder, or no definition in it.
            MessageError: A file can't be understood.
        """
        files = [file for kind in KINDS for file in sorted(folder.glob(f"**/{kind}/*.{kind}"))]
        if not files:
            raise ConfigError(
                f"{folder}: no msg/*.msg, srv/*.srv or action/*.action below it; "
                "name the folder of a ROS interface package"
            )
        for file in files:
            package, kind = file.parent.parent.resolve().name, file.parent.name
            self.add(f"{package}/{kind}/{file.stem}", file.read_text())
        return len(files)

    def get(self, name: str) -> Definition:
        """Return the definition of a message, or of a part of a service or an action.

        Raises:
            MessageError: It is not known.
        """
        full = check_type_name(name)
        try:
            return self._messages[full]
        except KeyError:
            raise MessageError(
                f"no definition of {full}; {did_you_mean(full, self._messages)}; "
                "name the folder of its package under 'interfaces'"
            ) from None

    def has(self, name: str) -> bool:
        """Tell whether a message of this full name is known."""
        return name in self._messages

    def schema_text(self, name: str) -> str:
        """Return a message's definition with those of all that it holds, as MCAP and tools want it.

        Source: MCAP, well-known schema encoding `ros2msg`.

        Raises:
            MessageError: A definition is missing.
        """
        first, *others = self.parts(name)
        inner = [f"{'=' * 80}\nMSG: {one.name.replace('/msg/', '/')}\n{one.text}" for one in others]
        return "\n".join([first.text, *inner])

    def is_service(self, name: str) -> bool:
        """Tell whether a service of this full name is known."""
        return name in self._services

    def is_action(self, name: str) -> bool:
        """Tell whether an action of this full name is known."""
        return name in self._actions

    def names(self) -> list[str]:
        """Return the names of all messages, services and actions, without derived parts."""
        derived = re.compile(r"/(srv|action)/.*_")
        plain = {name for name in self._messages if not derived.search(name)}
        return sorted(plain | self.services() | self._actions)

    def services(self) -> set[str]:
        """Return the names of all services that stand for themselves."""
        return {name for name in self._services if "/action/" not in name}

    def parts(self, name: str) -> list[Definition]:
        """Return a message and every message that it holds, itself first, each once.

        Raises:
            MessageError: One is not known, or a message holds itself.
        """
        found: dict[str, Definition] = {}
        self._gather(name, found, ())
        return list(found.values())

    def _gather(self, name: str, found: dict[str, Definition], above: tuple[str, ...]) -> None:
        definition = self.get(name)
        if definition.name in above:
            raise MessageError(f"{definition.name} holds itself, through {' → '.join(above)}")
        found.setdefault(definition.name, definition)
        for field in definition.fields:
            if not field.type.is_primitive:
                self._gather(field.type.base, found, (*above, definition.name))

    def _add_service(self, name: str) -> None:
        self._services.add(name)
        ends = (f"{name}_Request", f"{name}_Response")
        info = Field("info", FieldType("service_msgs/msg/ServiceEventInfo"))
        request = Field("request", FieldType(ends[0], is_array=True, count=1, is_bounded=True))
        response = Field("response", FieldType(ends[1], is_array=True, count=1, is_bounded=True))
        self._put(f"{name}_Event", info, request, response)
        self._put(
            name,
            Field("request_message", FieldType(ends[0])),
            Field("response_message", FieldType(ends[1])),
            Field("event_message", FieldType(f"{name}_Event")),
        )

    def _add_action(self, name: str) -> None:
        """Derive the services and the feedback message of an action.

        Source: design.ros2.org, "Actions".
        """
        self._actions.add(name)
        goal_id = Field("goal_id", FieldType("unique_identifier_msgs/msg/UUID"))
        stamp = Field("stamp", FieldType("builtin_interfaces/msg/Time"))
        send, result = f"{name}_SendGoal", f"{name}_GetResult"
        self._put(f"{send}_Request", goal_id, Field("goal", FieldType(f"{name}_Goal")))
        self._put(f"{send}_Response", Field("accepted", FieldType("bool")), stamp)
        self._put(f"{result}_Request", goal_id)
        self._put(
            f"{result}_Response",
            Field("status", FieldType("int8")),
            Field("result", FieldType(f"{name}_Result")),
        )
        for service in (send, result):
            self._add_service(service)
        feedback = Field("feedback", FieldType(f"{name}_Feedback"))
        self._put(f"{name}_FeedbackMessage", goal_id, feedback)

    def _put(self, name: str, *fields: Field) -> None:
        self._messages[name] = Definition(name, fields)


@cache
def _shipped(distro: str) -> Catalogue:
    made = Catalogue()
    files = ["standard"] + ([_OVERLAYS[distro]] if distro in _OVERLAYS else [])
    for file in files:
        text = (_HERE / "interfaces" / f"{file}.txt").read_text()
        for name, body in _sections(text):
            made.add(name, body)
    made.add_folder(OWN_PACKAGE)
    return made


def _sections(text: str) -> Iterator[tuple[str, str]]:
    for section in re.split(r"(?m)^== ", text)[1:]:
        name, _, body = section.partition("\n")
        yield name.strip(), body


def catalogue_of(distro: str, folders: Iterable[Path] = ()) -> Catalogue:
    """Return the catalogue of a distribution, with the user's own interfaces.

    Args:
        distro: `humble`, `jazzy`, `kilted`, `lyrical` or `rolling`.
        folders: Folders of interface packages.

    Raises:
        ConfigError: The distribution is not known, or a folder holds nothing.
        MessageError: A definition can't be understood.
    """
    if distro not in DISTROS:
        raise ConfigError(f"distro {distro!r}: {did_you_mean(distro, DISTROS)}")
    made = _shipped(distro).copy()
    for folder in folders:
        made.add_folder(folder)
    return made
