"""`olympus say "patrol the corridor"`: a sentence for the robot, and its answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

import typer

from olympus.runtime.agents import NotUnderstoodError, understand
from olympus.runtime.bus import Bus, Entity
from olympus.runtime.cli.connect import AsJson, SessionName, carry_out, graph_of, joined
from olympus.runtime.errors import BusError, ConfigError, did_you_mean
from olympus.runtime.messages import Ack, Command, Message, Sentence, schema_by_class

COMMAND = schema_by_class(Command).name
SENTENCE = schema_by_class(Sentence).name
PLANNING_S = 5.0


def say(
    words: Annotated[list[str], typer.Argument(help="What the robot should do.")],
    to: Annotated[
        str | None, typer.Option(help="Node to tell; needed if several take commands.")
    ] = None,
    as_json: AsJson = False,
    session: SessionName = None,
) -> None:
    """Tell the robot what to do, in a sentence, and print its answer.

    Raises:
        Exit: With 2 if the robot does not understand or can't do it.
    """
    answers: list[Ack] = []

    async def work() -> None:
        async with joined(session) as bus:
            answers.append(await ask(bus, " ".join(words), to))

    carry_out(work())
    for answer in answers:
        told = json.dumps({"ok": answer.ok, "text": answer.text}) if as_json else answer.text
        typer.echo(told, err=not answer.ok and not as_json)
        raise typer.Exit(0 if answer.ok else ConfigError.exit_code)


async def ask(bus: Bus, text: str, to: str | None) -> Ack:
    """Hand a sentence to the node that takes commands.

    Args:
        bus: A joined bus.
        text: The sentence.
        to: Full name of the node; None for the only one.

    Returns:
        Its answer. A sentence outside the grammar goes to the planner if there is one; else it is
        answered here, with sentences inside the grammar.

    Raises:
        BusError: No such node takes commands, several do, or it does not answer.
    """
    graph = await graph_of(bus)
    service = listener(graph, to)
    planner = next((one.topic for one in graph if _makes_plans(one)), None)
    try:
        command = understand(text)
    except NotUnderstoodError as error:
        if planner is None:
            return Ack(ok=False, text=str(error))
        return await _asked(bus, planner, Sentence(text=text))
    answer = await _asked(bus, service, command)
    is_long_name = " " in command.args.get("place", "")
    if planner is not None and not answer.ok and is_long_name:
        return await _asked(bus, planner, Sentence(text=text))  # `lab and then home` is no place
    return answer


async def _asked(bus: Bus, service: str, question: Message) -> Ack:
    answer = await bus.call(service, question, timeout_s=PLANNING_S)
    if not isinstance(answer, Ack):
        raise BusError(f"{service} answered {type(answer).__name__} instead of Ack")
    return answer


def _makes_plans(one: Entity) -> bool:
    return one.kind == "srv" and one.type == SENTENCE


def listener(graph: Iterable[Entity], to: str | None) -> str:
    """Return the service that takes commands.

    Args:
        graph: Entities of the session.
        to: Full name of its node; None for the only one.

    Raises:
        BusError: There is none, or there are several and `to` names none of them.
    """
    ends = {one.node: one.topic for one in graph if one.kind == "srv" and one.type == COMMAND}
    if not ends:
        raise BusError("no node takes commands in this session; is the navigator running?")
    if to is None and len(ends) > 1:
        raise BusError(f"several nodes take commands; name one with --to: {', '.join(ends)}")
    name = to or next(iter(ends))
    if name not in ends:
        raise BusError(f"{name} takes no commands; {did_you_mean(name, ends)}")
    return ends[name]
