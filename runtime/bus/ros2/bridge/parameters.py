"""The six parameter services of a node, and `/parameter_events`.

Values that ROS has no type for (mappings, lists of lists) travel as JSON text in a string.

Source: rcl_interfaces; design.ros2.org, "ROS 2 Parameters".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sized
from typing import Any

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.ros2.participant import Participant, RosNode, RosPublisher
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import BusError, MessageError
from olympus.runtime.messages import Ack, Empty, ParamChange, ParamList

NOT_SET, BOOL, INTEGER, DOUBLE, STRING, BYTES, BOOLS, INTEGERS, DOUBLES, STRINGS = range(10)
_FIELDS = {
    BOOL: "bool_value",
    INTEGER: "integer_value",
    DOUBLE: "double_value",
    STRING: "string_value",
    BYTES: "byte_array_value",
    BOOLS: "bool_array_value",
    INTEGERS: "integer_array_value",
    DOUBLES: "double_array_value",
    STRINGS: "string_array_value",
}
_ITEMS: dict[type, int] = {bool: BOOLS, int: INTEGERS, float: DOUBLES, str: STRINGS}
SIM_TIME = "use_sim_time"
MOST_ITEMS = 65_536
"""Letters or numbers of one parameter that is set."""
_LONGEST_NAME = 255
MOST_NAMES = 1000
"""Parameters that one request may name: a name of five bytes would else ask for a kilobyte."""
RCL = "rcl_interfaces/msg/"


def parameter_value(one: Participant, value: Any) -> Any:
    """Return a value read from JSON as a ROS ParameterValue."""
    kind, given = _kind_and_value(value)
    fields = {} if kind == NOT_SET else {_FIELDS[kind]: given}
    return one.new(f"{RCL}ParameterValue", type=kind, **fields)


def _kind_and_value(value: Any) -> tuple[int, Any]:
    if value is None:
        return NOT_SET, None
    plain = {bool: BOOL, int: INTEGER, float: DOUBLE, str: STRING}.get(type(value))
    if plain is not None:
        return plain, value
    if isinstance(value, list) and value:
        kinds = {type(item) for item in value}
        if kinds == {int, float}:
            return DOUBLES, [float(item) for item in value]
        if len(kinds) == 1 and (kind := _ITEMS.get(kinds.pop())) is not None:
            return kind, value
    return STRING, json.dumps(value)


def plain_value(value: Any) -> Any:
    """Return a ROS ParameterValue as what JSON can hold.

    Raises:
        MessageError: Its type is none, or it has more than `MOST_ITEMS` items.
    """
    if value.type == NOT_SET:
        return None
    field = _FIELDS.get(value.type)
    if field is None:
        raise MessageError(f"parameter type {value.type} is unknown")
    given = getattr(value, field)
    if isinstance(given, Sized) and len(given) > MOST_ITEMS:
        raise MessageError(f"a parameter of {len(given)} items; at most {MOST_ITEMS}")
    return given.tolist() if hasattr(given, "tolist") else given


class ParameterServices:
    """Parameters of one of our nodes, as ROS asks for them."""

    def __init__(
        self,
        one: Participant,
        node: RosNode,
        bus: Bus,
        *,
        name: str,
        uses_sim_time: Callable[[], bool],
        events: RosPublisher | None,
    ) -> None:
        """Answer for a node.

        Args:
            one: The participant.
            node: The node as ROS sees it.
            bus: Through which the real node is asked.
            name: Full name of the real node.
            uses_sim_time: What `use_sim_time` is.
            events: Where changes are told; None for nowhere.
        """
        self._one, self._bus, self._name, self._events = one, bus, name, events
        self._ros_name, self._uses_sim_time = node.name, uses_sim_time
        self._known: dict[str, Any] | None = None
        for service, type_, answer in (
            ("list_parameters", "ListParameters", self._list),
            ("get_parameters", "GetParameters", self._get),
            ("get_parameter_types", "GetParameterTypes", self._types),
            ("describe_parameters", "DescribeParameters", self._describe),
            ("set_parameters", "SetParameters", self._set_each),
            ("set_parameters_atomically", "SetParametersAtomically", self._set_all),
        ):
            node.serve(f"{node.name}/{service}", f"rcl_interfaces/srv/{type_}", answer)

    async def look_for_changes(self) -> None:
        """Tell what was changed since the last look, by whomever."""
        if self._events is None or not self._events.is_wanted:
            self._known = None
            return
        try:
            now, _ = await self._ask()
        except BusError:
            return  # it is on its way down; the graph will say so
        before, self._known = self._known, now
        if before is not None:
            self._tell({name: value for name, value in now.items() if before.get(name) != value})

    async def _ask(self) -> tuple[dict[str, Any], dict[str, Any]]:
        answer = await self._bus.call(f"{self._name}/param/list", Empty(), ParamList)
        values = {name: json.loads(text) for name, text in answer.values.items()}
        schema = json.loads(answer.schema).get("properties", {}) if answer.schema else {}
        return values | {SIM_TIME: self._uses_sim_time()}, schema

    async def _list(self, request: Any) -> Any:
        names, _ = await self._ask()
        _check_number(request.prefixes)
        prefixes = list(request.prefixes)
        found = [
            name
            for name in names
            if not prefixes or any(name == p or name.startswith(f"{p}.") for p in prefixes)
        ]
        result = self._one.new(f"{RCL}ListParametersResult", names=sorted(found))
        return self._one.new("rcl_interfaces/srv/ListParameters_Response", result=result)

    async def _get(self, request: Any) -> Any:
        _check_number(request.names)
        known, _ = await self._ask()
        values = [parameter_value(self._one, known.get(name)) for name in request.names]
        return self._one.new("rcl_interfaces/srv/GetParameters_Response", values=values)

    async def _types(self, request: Any) -> Any:
        _check_number(request.names)
        known, _ = await self._ask()
        types = [_kind_and_value(known.get(name))[0] for name in request.names]
        return self._one.new("rcl_interfaces/srv/GetParameterTypes_Response", types=types)

    async def _describe(self, request: Any) -> Any:
        _check_number(request.names)
        known, schema = await self._ask()
        made = [
            _descriptor(self._one, name, known.get(name), schema.get(name, {}))
            for name in request.names
        ]
        return self._one.new("rcl_interfaces/srv/DescribeParameters_Response", descriptors=made)

    async def _set_each(self, request: Any) -> Any:
        _check_number(request.parameters)
        results = [await self._set([parameter]) for parameter in request.parameters]
        return self._one.new("rcl_interfaces/srv/SetParameters_Response", results=results)

    async def _set_all(self, request: Any) -> Any:
        _check_number(request.parameters)
        result = await self._set(request.parameters)
        return self._one.new("rcl_interfaces/srv/SetParametersAtomically_Response", result=result)

    async def _set(self, parameters: list[Any]) -> Any:
        try:
            values = {_checked_name(one.name): plain_value(one.value) for one in parameters}
        except MessageError as error:
            self._one.tallies.refuse(f"{self._ros_name}/set_parameters", error)
            return self._result(False, str(error))
        if (wish := values.pop(SIM_TIME, None)) is not None and wish != self._uses_sim_time():
            return self._result(False, f"{SIM_TIME} is what the launch file says: ros2.clock")
        if not values:
            return self._result(True, "")
        known, schema = await self._ask()
        if self._known is None:
            self._known = known  # what is set before the first look for changes is told too
        texts = {
            name: _as_json(value, known.get(name), schema.get(name, {}))
            for name, value in values.items()
        }
        change, patience_s = ParamChange(values=texts), ParamChange.PATIENCE_S
        answer = await self._bus.call(f"{self._name}/param/set", change, Ack, timeout_s=patience_s)
        await self.look_for_changes()
        return self._result(answer.ok, "" if answer.ok else answer.text)

    def _result(self, is_ok: bool, reason: str) -> Any:
        return self._one.new(f"{RCL}SetParametersResult", successful=is_ok, reason=reason)

    def _stamp(self) -> Any:
        sec, nanosec = divmod(self._one.now_ns(), NS_PER_S)
        return self._one.new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)

    def _tell(self, changed: Mapping[str, Any]) -> None:
        if not changed or self._events is None:
            return
        made = [
            self._one.new(f"{RCL}Parameter", name=name, value=parameter_value(self._one, value))
            for name, value in changed.items()
        ]
        self._events.publish(
            self._one.new(
                f"{RCL}ParameterEvent",
                stamp=self._stamp(),
                node=self._ros_name,
                changed_parameters=made,
            )
        )


def _checked_name(name: str) -> str:
    """Return the name of a parameter that is to be set; it goes into a log.

    Raises:
        MessageError: No parameter can have it.
    """
    if not (name and name.isprintable() and len(name) <= _LONGEST_NAME):
        raise MessageError(f"{name!r:.80} is no name of a parameter")
    return name


def _check_number(asked: list[Any]) -> None:
    """Refuse a request that asks for too much at once.

    Raises:
        MessageError: It names more than `MOST_NAMES`.
    """
    if len(asked) > MOST_NAMES:
        raise MessageError(f"a request for {len(asked)} parameters; at most {MOST_NAMES} at once")


def _as_json(value: Any, known: Any, schema: Mapping[str, Any]) -> str:
    """Return a new value as the JSON that the node takes; structures came as JSON already."""
    is_structure = isinstance(known, dict) or (
        isinstance(known, list) and _kind_and_value(known)[0] == STRING
    )
    if isinstance(value, str) and (is_structure or (known is None and "$ref" in schema)):
        return value
    return json.dumps(value)


def _descriptor(one: Participant, name: str, value: Any, schema: Mapping[str, Any]) -> Any:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    kind = _kind_and_value(value)[0]
    ranges: dict[str, Any] = {}
    if low is not None and high is not None and kind in (INTEGER, DOUBLE):
        title, cast = ("Integer", int) if kind == INTEGER else ("FloatingPoint", float)
        limits = one.new(f"{RCL}{title}Range", from_value=cast(low), to_value=cast(high))
        ranges["integer_range" if kind == INTEGER else "floating_point_range"] = [limits]
    return one.new(
        f"{RCL}ParameterDescriptor",
        name=name,
        type=kind,
        description=str(schema.get("description", "")),
        read_only=name == SIM_TIME,
        **ranges,
    )
