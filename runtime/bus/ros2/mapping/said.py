"""Detections, health, logs, and plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

from olympus.runtime.bus.ros2.mapping.context import Context
from olympus.runtime.bus.ros2.mapping.pairs import pair
from olympus.runtime.bus.ros2.mapping.sensors import optical
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import (
    Detection,
    Detections,
    Diagnostic,
    Header,
    Log,
    Number,
    Numbers,
    Text,
)

LEVELS = {"ok": 0, "warn": 1, "error": 2, "stale": 3}
"""Of diagnostics."""
SEVERITIES = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""Of log lines."""
_NUMBERS = ("Float64", "Float32", "Int64", "Int32", "Int16", "Int8", "UInt64", "UInt32", "UInt16",
            "UInt8", "Byte", "Char", "Bool")  # fmt: skip
_ARRAYS = ("Float64", "Float32", "Int64", "Int32", "Int16", "Int8", "UInt64", "UInt32", "UInt16",
           "UInt8", "Byte")  # fmt: skip


def _detections(m: Detections, ctx: Context) -> Any:
    """Return boxes in pixels; ROS gives their middle, we their corner.

    Raises:
        MessageError: The size of the picture is not known.
    """
    width, height = m.width or ctx.width, m.height or ctx.height
    if not (width and height):
        raise MessageError("detections that don't say the picture's width and height in pixels")
    header = ctx.header(m, optical(m.frame_id))
    made = []
    for number, item in enumerate(m.items):
        middle = ctx.new(
            "vision_msgs/msg/Point2D",
            x=(item.x + item.w / 2) * width,
            y=(item.y + item.h / 2) * height,
        )
        hypothesis = ctx.new(
            "vision_msgs/msg/ObjectHypothesis", class_id=item.label, score=item.confidence
        )
        made.append(
            ctx.new(
                "vision_msgs/msg/Detection2D",
                header=header,
                results=[
                    ctx.new("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis)
                ],
                bbox=ctx.new(
                    "vision_msgs/msg/BoundingBox2D",
                    center=ctx.new("vision_msgs/msg/Pose2D", position=middle),
                    size_x=item.w * width,
                    size_y=item.h * height,
                ),
                id=str(number),
            )
        )
    return ctx.new("vision_msgs/msg/Detection2DArray", header=header, detections=made)


def _detections_of(value: Any, ctx: Context) -> Detections:
    if not (ctx.width and ctx.height):
        raise MessageError(
            "detections from ROS are in pixels, and the size of their picture is not known: say "
            "its 'width' and 'height' in the topic's entry; a bag must hold the pictures themselves"
        )
    items = []
    nothing = ctx.new("vision_msgs/msg/ObjectHypothesis")  # a box of which nobody says what it is
    for one in value.detections:
        said = [result.hypothesis for result in one.results]
        best = max(said, key=lambda h: h.score, default=nothing)
        box = one.bbox
        w, h = box.size_x / ctx.width, box.size_y / ctx.height
        items.append(
            Detection(
                label=best.class_id,
                confidence=best.score,
                x=box.center.position.x / ctx.width - w / 2,
                y=box.center.position.y / ctx.height - h / 2,
                w=w,
                h=h,
            )
        )
    return Detections(
        header=ctx.given(value.header),
        items=tuple(items),
        frame_id=value.header.frame_id,
        width=ctx.width,
        height=ctx.height,
    )


def diagnostic_status(m: Diagnostic, ctx: Context) -> Any:
    """Return the health of one part as ROS's DiagnosticStatus."""
    pairs = [
        ctx.new("diagnostic_msgs/msg/KeyValue", key=key, value=value)
        for key, value in m.values.items()
    ]
    return ctx.new(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=LEVELS.get(m.level, 2),
        name=f"{m.header.source}: {m.name}" if m.header.source else m.name,
        message=m.text,
        hardware_id=m.name,
        values=pairs,
    )


def _diagnostics(m: Diagnostic, ctx: Context) -> Any:
    return ctx.new(
        "diagnostic_msgs/msg/DiagnosticArray",
        header=ctx.header(m, ""),
        status=[diagnostic_status(m, ctx)],
    )


def _diagnostic_of(value: Any, ctx: Context) -> Diagnostic:
    """Return an array of one part; one of several is split before (`Mapper.each`).

    Raises:
        MessageError: It has no part, or several.
    """
    if not value.status:
        raise MessageError("a DiagnosticArray that says nothing")
    if len(value.status) > 1:
        raise MessageError(f"a DiagnosticArray of {len(value.status)} parts is as many messages")
    part = value.status[0]
    names = {number: level for level, number in LEVELS.items()}
    return Diagnostic(
        header=ctx.given(value.header),
        level=names.get(part.level, "error"),
        name=part.name,
        text=part.message,
        values={pair.key: pair.value for pair in part.values},
    )


def _log(m: Log, ctx: Context) -> Any:
    return ctx.new(
        "rcl_interfaces/msg/Log",
        stamp=ctx.stamp(m.header.stamp),
        level=SEVERITIES.get(m.level, 20),
        name=m.logger.replace("/", "."),
        msg=" ".join([m.text, *(f"{k}={v}" for k, v in m.fields.items() if k != "traceback")]),
    )


def _log_of(value: Any, ctx: Context) -> Log:
    known = [name for name, number in SEVERITIES.items() if number <= value.level]
    return Log(
        header=Header(stamp=ctx.robot_ns(value.stamp)),
        level=known[-1] if known else "debug",
        logger=value.name,
        text=value.msg,
        fields={"file": f"{value.file}:{value.line}"} if value.file else {},
    )


def _number(type_: str) -> None:
    name = f"std_msgs/msg/{type_}"
    convert = bool if type_ == "Bool" else float if type_.startswith("Float") else _whole

    def to_ros(m: Number, ctx: Context) -> Any:
        return ctx.new(name, data=convert(m.value))

    pair(Number, name, to_ros, lambda v, c: Number(header=c.sent, value=float(v.data)))


def _whole(value: float) -> int:
    if value != value or abs(value) == float("inf"):
        raise MessageError(f"{value} is no whole number")
    return round(value)


def _number_array(type_: str) -> None:
    name = f"std_msgs/msg/{type_}MultiArray"

    def to_ros(m: Numbers, ctx: Context) -> Any:
        values = m.values if type_.startswith("Float") else [_whole(float(v)) for v in m.values]
        dim = ctx.new(
            "std_msgs/msg/MultiArrayDimension", label="", size=len(values), stride=len(values)
        )
        layout = ctx.new("std_msgs/msg/MultiArrayLayout", dim=[dim])
        return ctx.new(name, layout=layout, data=values)

    pair(
        Numbers,
        name,
        to_ros,
        lambda v, c: Numbers(header=c.sent, values=np.asarray(v.data, np.float64)),
    )


pair(Detections, "vision_msgs/msg/Detection2DArray", _detections, _detections_of)
pair(Diagnostic, "diagnostic_msgs/msg/DiagnosticArray", _diagnostics, _diagnostic_of)
pair(Log, "rcl_interfaces/msg/Log", _log, _log_of)
pair(
    Text,
    "std_msgs/msg/String",
    lambda m, c: c.new("std_msgs/msg/String", data=m.text),
    lambda v, c: Text(header=c.sent, text=v.data),
)
for _name in _NUMBERS:
    _number(_name)
for _name in _ARRAYS:
    _number_array(_name)
