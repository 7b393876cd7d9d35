"""`olympus param`: list, read and set the parameters of running nodes."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from olympus.runtime.bus import Bus
from olympus.runtime.cli.connect import AsJson, SessionName, carry_out, graph_of, joined
from olympus.runtime.errors import BusError, ParamError, did_you_mean
from olympus.runtime.messages import Ack, Empty, ParamChange, ParamList

app = typer.Typer(help="Parameters of running nodes: list, get, set.", no_args_is_help=True)
NodeName = Annotated[str, typer.Argument(help="Full name, such as rover/detector.")]
ParamName = Annotated[str, typer.Argument(help="Name of the parameter.")]


@app.command("list")
def list_(node: NodeName, as_json: AsJson = False, session: SessionName = None) -> None:
    """List a node's parameters with their values, ranges and descriptions."""

    async def work() -> None:
        async with joined(session) as bus:
            found = await _params_of(bus, node)
        fields: dict[str, Any] = json.loads(found.schema or "{}").get("properties", {})
        if as_json:
            values = {name: json.loads(text) for name, text in found.values.items()}
            typer.echo(json.dumps({"node": node, "values": values, "schema": fields}))
            return
        for name, text in found.values.items():
            typer.echo(f"{name} = {text}{_about(fields.get(name, {}))}")

    carry_out(work())


@app.command()
def get(node: NodeName, name: ParamName, session: SessionName = None) -> None:
    """Print one parameter's value, as JSON."""

    async def work() -> None:
        async with joined(session) as bus:
            values = (await _params_of(bus, node)).values
        if name not in values:
            raise ParamError(f"{node} has no parameter {name!r}; {did_you_mean(name, values)}")
        typer.echo(values[name])

    carry_out(work())


@app.command("set", context_settings={"ignore_unknown_options": True})
def set_(
    node: NodeName,
    name: ParamName,
    value: Annotated[str, typer.Argument(help="JSON, or plain text for a string.")],
    session: SessionName = None,
) -> None:
    """Set one parameter; a value that is refused leaves the old one in place."""
    _check_brackets(f"{node}.{name}", value)

    async def work() -> None:
        async with joined(session) as bus:
            change = ParamChange(values={name: value})
            answer = await _ask(bus, node, "set", change, timeout_s=ParamChange.PATIENCE_S)
        if not isinstance(answer, Ack) or not answer.ok:
            raise ParamError(getattr(answer, "text", f"{node}: unexpected answer"))
        remark = "" if answer.text == name else f" ({answer.text})"
        typer.echo(f"{node}.{name} = {value}{remark}")

    carry_out(work())


def _check_brackets(where: str, value: str) -> None:
    """Refuse what is meant as a list or a mapping but is none.

    Raises:
        ParamError: It begins with a bracket and is no JSON; points at the character.
    """
    if not value.lstrip().startswith(("[", "{")):
        return
    try:
        json.loads(value)
    except json.JSONDecodeError as error:
        caret = f"  {value}\n  {' ' * error.pos}^"
        raise ParamError(f"{where}: no valid JSON: {error.msg}\n{caret}") from error


async def _params_of(bus: Bus, node: str) -> ParamList:
    answer = await _ask(bus, node, "list", Empty())
    if not isinstance(answer, ParamList):
        raise BusError(f"{node}: {type(answer).__name__} is no list of parameters")
    return answer


async def _ask(
    bus: Bus, node: str, verb: str, request: Empty | ParamChange, timeout_s: float = 2.0
) -> object:
    nodes = [entity.node for entity in await graph_of(bus) if entity.kind == "node"]
    if node not in nodes:
        raise BusError(f"no node {node!r} is running; {did_you_mean(node, nodes)}")
    return await bus.call(f"{node}/param/{verb}", request, timeout_s=timeout_s)


def _about(field: dict[str, Any]) -> str:
    """Return a parameter's range and description, from its JSON schema."""
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[name]:g}" for name, sign in words.items() if name in field]
    choices = [", ".join(map(str, field["enum"]))] if "enum" in field else []
    parts = [*limits, *choices, *([field["description"]] if "description" in field else [])]
    return f"   # {'; '.join(parts)}" if parts else ""
