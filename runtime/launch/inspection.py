"""Looks at the classes of a launch's nodes, in a process of its own, before anything starts.

Importing every node costs seconds of memory and may crash; the launcher stays small and alive. Run
as `python -m olympus.runtime.launch.inspection`: questions as JSON on stdin, findings on stdout.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from olympus.runtime.bus.topics import resolve
from olympus.runtime.errors import LaunchError, OlympusError, did_you_mean
from olympus.runtime.launch.document import shown
from olympus.runtime.launch.findings import Finding
from olympus.runtime.launch.params import Params, effective_params
from olympus.runtime.launch.plan import LaunchPlan, joined
from olympus.runtime.launch.substitute import LATE
from olympus.runtime.lifeline import tie_to_parent
from olympus.runtime.node.loading import failed_at, load_node_class, look_beside
from olympus.runtime.node.params import make_params

TIMEOUT_S = 60.0
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


_questions = TypeAdapter(list[Question])
_findings = TypeAdapter(list[Finding])


def placeholders() -> dict[str, JsonValue]:
    """Return likely values of what only a running session knows, to check with before it runs."""
    return {**{name: f"/{name}" for name in LATE}, "broker.url": "mqtt://127.0.0.1:1883"}


async def checked_params(
    plan: LaunchPlan,
    late: Mapping[str, JsonValue],
    *,
    imports: bool,
    look: Callable[[list[Finding]], None] = lambda findings: None,
) -> dict[str, Params]:
    """Return all params of all nodes, defaults included, validated by their classes.

    Args:
        plan: The launch; params files are read anew.
        late: Values that only a running session knows.
        imports: Whether to look at the classes at all; without, only what is set comes back.
        look: Is shown what the classes say, where none has a problem; may raise LaunchError.

    Raises:
        LaunchError: A class is missing or refuses a param; tells all of them. Or `look` refuses.
    """
    params = effective_params(plan, late)
    if not imports:
        return params
    findings = await inspected(plan, params)
    problems = [finding.problem for finding in findings if finding.problem]
    if problems:
        raise LaunchError("\n".join(problems))
    look(findings)
    # What was set stays as it was written: a dump hides secrets.
    return {finding.id: {**finding.params, **params[finding.id]} for finding in findings}


async def inspected(plan: LaunchPlan, params: Mapping[str, Params]) -> list[Finding]:
    """Look at the classes of all nodes, in another process.

    Args:
        plan: The launch.
        params: Values by node id.

    Raises:
        LaunchError: The other process crashed: one of the node modules can't be imported at all.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "olympus.runtime.launch.inspection", str(plan.file.parent)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    questions = _questions.dump_json(_asked(plan, params))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer, errors = await process.communicate(questions)
        return _findings.validate_json(answer)
    except (TimeoutError, ValidationError) as error:
        last = "" if isinstance(error, TimeoutError) else errors.decode(errors="replace")[-400:]
        raise LaunchError(
            "looking at the node classes failed; a module may crash or hang when it is imported "
            f"(--no-import leaves this check out)\n{last}".rstrip()
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _asked(plan: LaunchPlan, params: Mapping[str, Params]) -> list[Question]:
    return [
        Question(
            id=node.id,
            uses=node.uses,
            where=node.where,
            namespace=node.namespace,
            params=params[node.id],
            remaps=node.remaps,
        )
        for node in plan.nodes.values()
    ]


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
        yield joined(question.namespace, value)


def _full(topics: Mapping[str, type], question: Question) -> dict[str, str]:
    return {
        resolve(topic, question.namespace, question.remaps): kind.__name__
        for topic, kind in topics.items()
    }


def main() -> None:
    """Answer the questions on standard input; the argument is the launch file's folder."""
    tie_to_parent()
    look_beside(Path(sys.argv[1]))
    answers = os.dup(1)
    os.dup2(2, 1)  # what a module prints when it is imported is no finding
    questions = _questions.validate_json(sys.stdin.buffer.read())
    with os.fdopen(answers, "wb") as stream:
        stream.write(_findings.dump_json([look_at(question) for question in questions]))


if __name__ == "__main__":
    main()
