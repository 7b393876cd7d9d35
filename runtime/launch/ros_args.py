"""`--ros-args`: what ROS 2 tools add to a command line, understood by `olympus launch`.

`-p speed:=0.4` sets an argument, `-p camera:fps:=5` a param, `-r cmd_vel:=/teleop/cmd_vel` or
`-r drive:cmd_vel:=…` remaps a topic as the node names it, `-r __ns:=/left` goes before every node,
`--params-file` is a params file of ROS or of ours, over those before it, `--log-level` the least
important log line.

Source: design.ros2.org, "ROS Command Line Arguments".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.params_file import SIM_TIME
from olympus.runtime.launch.plan import LaunchPlan, ParamsFile, PlannedNode, joined

_BEGIN, _END = "--ros-args", "--"
_REMAP, _LEVEL, _FILE = "__remap ", "__log_level", "__params_file"
_LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "warning": "warning",
           "error": "error", "fatal": "error"}  # fmt: skip
_FLAGS = {"-p": "-p", "--param": "-p", "-r": "-r", "--remap": "-r", "--params-file": "file",
          "--log-level": "level"}  # fmt: skip


def as_words(arguments: list[str]) -> list[str]:
    """Turn what stands behind `--ros-args` into `key:=value` words.

    Args:
        arguments: A whole command line, without the command itself.

    Returns:
        The same without `--ros-args`; what can't be said as a word begins with `__`.

    Raises:
        LaunchError: An option is not known, or lacks its value.
    """
    if _BEGIN not in arguments:
        return arguments
    begin = arguments.index(_BEGIN)
    rest = arguments[begin + 1 :]
    end = rest.index(_END) if _END in rest else len(rest)
    return [*arguments[:begin], *_translated(rest[:end]), *rest[end + 1 :]]


def _translated(words: list[str]) -> Iterator[str]:
    given = iter(words)
    for flag in given:
        if flag == _BEGIN:
            continue
        kind, value = _FLAGS.get(flag), next(given, None)
        if kind is None or value is None:
            raise LaunchError(
                f"--ros-args {flag}: known are {', '.join(_FLAGS)}, each with a value"
            )
        if kind in ("-p", "-r") and ":=" not in value:
            raise LaunchError(f"--ros-args {flag} {value}: write it as NAME:=VALUE")
        yield {"file": f"{_FILE}:=", "level": f"{_LEVEL}:=", "-r": _REMAP, "-p": ""}[kind] + (
            _param(value) if kind == "-p" else value
        )


def _param(text: str) -> str:
    """Return a param as a word of ours; `use_sim_time` of one node is that of the session.

    Raises:
        LaunchError: One node is to have another time than the others.
    """
    key, _, value = text.partition(":=")
    node, _, name = key.strip("/").rpartition(":")
    if node and name == SIM_TIME:
        raise LaunchError(
            f"--ros-args -p {text}: the nodes of a session share one time; "
            f"write -p {SIM_TIME}:=true"
        )
    return f"{key.strip('/').replace(':', '.')}:={value}"


@dataclass(slots=True)
class RosWords:
    """What `--ros-args` says that is no argument and no param."""

    remaps: list[tuple[str, str, str]] = field(default_factory=list)
    """Node or '' for every one, the topic as the node names it, and its new name."""
    params_files: list[Path] = field(default_factory=list)
    """Later ones win."""
    namespace: str = ""
    log_level: str = ""

    @classmethod
    def taken_from(cls, words: Iterable[str]) -> tuple[list[str], RosWords]:
        """Return the words that are for others, and what the rest says.

        Raises:
            LaunchError: A log level is not known, or a remap can't be done.
        """
        found, others = cls(), list[str]()
        for word in words:
            key, _, value = word.partition(":=")
            if key == _LEVEL:
                if value.lower() not in _LEVELS:
                    raise LaunchError(
                        f"--log-level {value}: one level for all; known are {', '.join(_LEVELS)}"
                    )
                found.log_level = _LEVELS[value.lower()]
            elif key == _FILE:
                found.params_files.append(Path(value).absolute())
            elif word.startswith(_REMAP):
                found._remap(key.removeprefix(_REMAP), value)
            else:
                others.append(word)
        return others, found

    def applied(self, plan: LaunchPlan) -> LaunchPlan:
        """Return a plan with it laid over.

        Raises:
            LaunchError: A remap names a node that there is none of.
        """
        for node, topic, _ in self.remaps:
            if node and node not in {one for n in plan.nodes.values() for one in _names(n)}:
                raise LaunchError(f"--ros-args -r {node}:{topic}: no node is called {node!r}")
        nodes = {node_id: self._changed(node) for node_id, node in plan.nodes.items()}
        telemetry = plan.telemetry
        if self.log_level:
            telemetry = telemetry.model_copy(update={"log_level": self.log_level})
        return dataclasses.replace(
            plan,
            nodes=nodes,
            telemetry=telemetry,
            namespace=joined(self.namespace, plan.namespace),
            params_files=(
                *plan.params_files,
                *(ParamsFile(path=file, scope="") for file in self.params_files),
            ),
        )

    def _remap(self, key: str, value: str) -> None:
        node, sign, topic = key.rpartition(":")
        if topic.startswith("__") and key != "__ns":
            raise LaunchError(
                f"--ros-args -r {key}:={value}: only __ns, of all nodes at once, can be said here; "
                "name a node, or its namespace, in the launch file"
            )
        if key == "__ns":
            self.namespace = value.strip("/")
        else:
            self.remaps.append((node.strip("/") if sign else "", topic, value))

    def _changed(self, node: PlannedNode) -> PlannedNode:
        mine = {topic: new for name, topic, new in self.remaps if not name or name in _names(node)}
        return dataclasses.replace(
            node,
            namespace=joined(self.namespace, node.namespace),
            remaps={**node.remaps, **mine},
        )


def _names(node: PlannedNode) -> tuple[str, str]:
    return node.id, joined(node.namespace, node.name)
