"""Classes of the installed ROS: found by a type's name, and compared with our definition of it."""

from __future__ import annotations

import importlib
from typing import Any

from olympus.runtime.bus.ros2.catalogue import OWN_PACKAGE, Catalogue
from olympus.runtime.bus.ros2.definitions import Definition, FieldType
from olympus.runtime.bus.ros2.qos import Durability, History, Reliability, RosQos
from olympus.runtime.errors import BusError

_ACTION_PARTS = {
    "_SendGoal": "SendGoalService",
    "_GetResult": "GetResultService",
    "_FeedbackMessage": "FeedbackMessage",
}
_WORDS = {"float32": "float", "float64": "double", "bool": "boolean", "byte": "octet",
          "char": "uint8"}  # fmt: skip
"""How rosidl's Python classes name primitives, where it isn't as `.msg` files name them."""
_SERVICE_PARTS = ("Request", "Response")


def needed(module: str) -> Any:
    """Import a module of ROS.

    Raises:
        BusError: It is not there; says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BusError(
            f"backend rclpy: {error}; source your ROS 2 (`. /opt/ros/jazzy/setup.sh`) before "
            "starting, or choose `backend: zenoh`, which needs no ROS"
        ) from error


class InstalledTypes:
    """The installed ROS's classes of messages and services."""

    def __init__(self, catalogue: Catalogue, distro: str) -> None:
        self._catalogue, self._distro = catalogue, distro
        self._found: dict[str, Any] = {}

    def get(self, type_: str) -> Any:
        """Return the class of a message or a service; a part of an action has one too.

        Raises:
            BusError: The installed ROS has none, or one with other fields than ours.
        """
        known = self._found.get(type_)
        if known is None:
            known = _class_of(type_)
            self._compare(type_, known)
            self._found[type_] = known
        return known

    def _compare(self, type_: str, found: Any) -> None:
        """Make sure that what we write is what the installed ROS reads.

        CDR has no names in it: with other fields a message would be read, and wrongly.
        """
        is_service = self._catalogue.is_service(type_)
        for suffix in _SERVICE_PARTS if is_service else ("",):
            name = f"{type_}_{suffix}" if is_service else type_
            cls = getattr(found, suffix) if is_service else found
            theirs: dict[str, str] = cls.get_fields_and_field_types()
            self._compare_fields(self._catalogue.get(name), theirs)
            for part in self._catalogue.parts(name)[1:]:
                if "/msg/" in part.name:
                    self._compare_fields(part, _class_of(part.name).get_fields_and_field_types())

    def _compare_fields(self, ours: Definition, theirs: dict[str, str]) -> None:
        mine = {field.name: _worded(field.type) for field in ours.fields}
        # A message without fields has a filler in C, which the Python class does not show.
        if list(mine.items()) == list(theirs.items()) or not theirs:
            return
        raise BusError(
            f"{ours.name} has other fields in the installed ROS than in the distribution "
            f"{self._distro!r}: {sorted(set(mine.items()) ^ set(theirs.items()))}; say which "
            "distribution is installed (`distro:`), or name your package under 'interfaces'"
        )


def _worded(kind: FieldType) -> str:
    """Return a field's type as rosidl's Python classes write it."""
    base = _WORDS.get(kind.base, kind.base)
    for part in ("/msg/", "/srv/", "/action/"):
        base = base.replace(part, "/")
    if kind.most_chars:
        base = f"{base}<{kind.most_chars}>"
    if not kind.is_array:
        return base
    if kind.is_fixed:
        return f"{base}[{kind.count}]"
    return f"sequence<{base}, {kind.count}>" if kind.is_bounded else f"sequence<{base}>"


def _class_of(type_: str) -> Any:
    package, kind, title = type_.split("/")
    inner = ""
    for suffix, name in _ACTION_PARTS.items():
        if kind == "action" and title.endswith(suffix):
            title, inner = title.removesuffix(suffix), name
    try:
        found = getattr(importlib.import_module(f"{package}.{kind}"), title)
        return getattr(found.Impl, inner) if inner else found
    except (ImportError, AttributeError) as error:
        raise BusError(
            f"the installed ROS has no {type_}: {error}; {_remedy(package, title)}"
        ) from (error)


def _remedy(package: str, title: str) -> str:
    if package != OWN_PACKAGE.name:
        return f"build and source {package}"
    if (OWN_PACKAGE / "msg" / f"{title}.msg").exists():
        return "build and source our package, runtime/bus/ros2/olympus_msgs"
    return "our ROS package does not have it either: it is for our own nodes; `hide` ends this line"


def as_profile(qos: RosQos) -> Any:
    """Return a quality of service as rclpy's own."""
    module = needed("rclpy.qos")
    reliable = qos.reliability is Reliability.RELIABLE
    keeps_all = qos.history is History.KEEP_ALL
    return module.QoSProfile(
        depth=qos.depth,
        reliability=getattr(module.ReliabilityPolicy, "RELIABLE" if reliable else "BEST_EFFORT"),
        durability=getattr(
            module.DurabilityPolicy, "TRANSIENT_LOCAL" if qos.is_latched else "VOLATILE"
        ),
        history=getattr(module.HistoryPolicy, "KEEP_ALL" if keeps_all else "KEEP_LAST"),
    )


def from_profile(profile: Any) -> RosQos | None:
    """Return rclpy's quality of service as ours; None where a policy is unknown there."""
    try:
        return RosQos(
            Reliability[profile.reliability.name],
            Durability[profile.durability.name],
            History.KEEP_ALL if profile.history.name == "KEEP_ALL" else History.KEEP_LAST,
            profile.depth,
        )
    except (KeyError, AttributeError):
        return None
