"""Looks at the classes of a launch's nodes, in a process of its own.

Forked from the nursery, or run as `python -m olympus.runtime.launch.looking FOLDER LIFELINE`: its
standard input is a socket on which questions come and findings go back, both as JSON. It imports
little more than a host does: what it is forked from has that already.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from olympus.runtime.bus.topics import resolve
from olympus.runtime.errors import OlympusError, did_you_mean
from olympus.runtime.launch.document import shown
from olympus.runtime.launch.findings import Finding
from olympus.runtime.lifeline import tie_to_parent
from olympus.runtime.node.loading import failed_at, load_node_class, look_beside
from olympus.runtime.node.params import make_params

MODULE = "olympus.runtime.launch.looking"
_TOPIC = re.compile(r"[\w/*-]+")


class Question(BaseModel):
    """One node to look at."""

    model_config = ConfigDict(frozen=True)

    id: str
    uses: str
    where: str
    namespace: str
    params: dict[str, JsonValue]
    remaps: dict[str, str]


QUESTIONS = TypeAdapter(list[Question])
FINDINGS = TypeAdapter(list[Finding])


def look_at(question: Question) -> Finding:
    """Import a node's class and compare it with what the launch file says."""
    try:
        cls = load_node_class(question.uses)
        params = make_params(cls.Params, question.params, question.id)
        declared = cls.declared
        heard = {mark.topic: kind for _, mark, kind in declared.subscriptions}
        optional = {m.topic: kind for _, m, kind in declared.subscriptions if m.is_optional}
        sent = {mark.topic: mark.cls for mark in declared.outputs.values()}
        models = list(cls.models_kept(params))
        asked = {
            resolve(host, question.namespace, question.remaps): model
            for host, model in params.models_asked().items()
        }
    except OlympusError as error:
        return Finding(id=question.id, problem=f"{question.where}: {error}")
    except Exception as error:  # noqa: BLE001  a person's module may fail in any way
        return Finding(id=question.id, problem=f"{question.where}: {_failed(question, error)}")
    try:
        notes = [f"{question.where}: {question.id}: {one}" for one in params.before_start()]
    except OlympusError as error:
        return Finding(id=question.id, problem=f"{question.where}: {question.id}: {error}")
    except Exception as error:  # noqa: BLE001  a person's method too
        why = _failed(question, error, "before_start")
        return Finding(id=question.id, problem=f"{question.where}: {why}")
    names = {**heard, **sent}
    notes += [
        f"{question.where}: node {question.id!r} has no topic {name!r} to remap; "
        f"{did_you_mean(name, names)}"
        for name in question.remaps
        if name not in names
    ]
    return Finding(
        id=question.id,
        params=params.model_dump(mode="json"),
        outputs=_full(sent, question),
        inputs=_full(heard, question),
        optional=[*_full(optional, question)],
        named=list(_named(question.params | params.model_dump(mode="json"), question)),
        models=models,
        asked=asked,
        notes=notes,
    )


def _failed(question: Question, error: Exception, what_fails: str = "importing it") -> str:
    """Tell why a module can't be imported, and at which line."""
    what, file, line = failed_at(error)
    return f"uses: {question.uses}: {what_fails} fails: {what} ({shown(Path(file))}:{line})"


def _named(value: object, question: Question) -> Iterator[str]:
    """Return the topics that texts in params may name; many of them name none."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _named(item, question)
    elif isinstance(value, str) and _TOPIC.fullmatch(value):
        yield value
        yield f"{question.namespace}/{value}" if question.namespace else value


def _full(topics: Mapping[str, type], question: Question) -> dict[str, str]:
    return {
        resolve(topic, question.namespace, question.remaps): kind.__name__
        for topic, kind in topics.items()
    }


def main(arguments: list[str]) -> int:
    """Answer the questions on standard input and return the exit code.

    Args:
        arguments: The launch file's folder, and the number of the lifeline.
    """
    tie_to_parent(int(arguments[1]))
    gc.disable()  # it ends before there is much to collect
    look_beside(Path(arguments[0]))
    channel = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    with os.fdopen(channel, "r+b", buffering=0) as stream:
        questions = QUESTIONS.validate_json(stream.readall())
        answers = memoryview(FINDINGS.dump_json([look_at(question) for question in questions]))
        while answers:
            answers = answers[stream.write(answers) :]
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
