"""`olympus service`: which questions nodes answer, and one asked of them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
import yaml

from olympus.runtime.bus import Entity
from olympus.runtime.cli.connect import AsJson, SessionName, bus_of, carry_out, graph_of, joined
from olympus.runtime.cli.plain import as_json as message_as_json
from olympus.runtime.cli.vocabulary import learn
from olympus.runtime.config import find_session
from olympus.runtime.errors import BusError, ConfigError, MessageError, did_you_mean
from olympus.runtime.messages import Ack, Message
from olympus.runtime.messages.as_json import from_fields
from olympus.runtime.messages.plain import plain
from olympus.runtime.node.loading import why_not_imported

app = typer.Typer(help="Services of running nodes: list, call.", no_args_is_help=True)
OF_EVERY_NODE = ("/lifecycle", "/param/list", "/param/set")


@app.command("list")
def list_(
    every: Annotated[
        bool, typer.Option("--all", help="Also those that every node has, for its parameters.")
    ] = False,
    as_json: AsJson = False,
    session: SessionName = None,
) -> None:
    """List services with the type of message they are asked with."""

    async def work() -> None:
        async with joined(session) as bus:
            found = _services(await graph_of(bus))
        shown = {n: e for n, e in found.items() if every or not n.endswith(OF_EVERY_NODE)}
        if as_json:
            rows = [{"service": n, "type": e.type, "node": e.node} for n, e in shown.items()]
            typer.echo(json.dumps(rows))
            return
        width = max(map(len, [*shown, "service"]))
        for name, kind in [("service", "asked with"), *((n, e.type) for n, e in shown.items())]:
            typer.echo(f"{name:{width}}  {kind}")

    carry_out(work())


@app.command()
def call(
    name: Annotated[str, typer.Argument(help="Full name, such as rover/navigator/say.")],
    fields: Annotated[
        str, typer.Argument(help="Fields of the question, YAML or JSON; those left out as usual.")
    ] = "{}",
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.01, help="How long to wait.")
    ] = 5.0,
    as_json: AsJson = False,
    session: SessionName = None,
) -> None:
    """Ask a service, and print its answer.

    Raises:
        Exit: With 2 if the answer is a plain no.
    """
    said = _read(fields)
    answers: list[Message] = []

    async def work() -> None:
        place = find_session(session)
        async with bus_of(place) as bus:
            graph = await graph_of(bus)
            services = _services(graph)
            if name not in services:
                raise BusError(f"no service {name!r}; {did_you_mean(name, services)}")
            end = services[name]
            if why := _learn_from(end.node, graph):
                typer.echo(f"{why}; an answer of a type of its own can't be read here", err=True)
            learn({end.type}, graph, place)
            question = from_fields(end.type, said)
            answers.append(await bus.call(name, question, timeout_s=timeout_s))

    carry_out(work())
    for answer in answers:
        _show(answer, as_json=as_json)
        if isinstance(answer, Ack) and not answer.ok:
            raise typer.Exit(ConfigError.exit_code)


def _services(graph: list[Entity]) -> dict[str, Entity]:
    ends = [one for one in graph if one.kind == "srv" and not one.topic.startswith("@")]
    return {one.topic: one for one in sorted(ends, key=lambda one: one.topic)}


def _read(text: str) -> dict[str, Any]:
    """Return what was typed as a mapping of fields.

    Raises:
        MessageError: It is none.
    """
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MessageError(f"the fields are no valid YAML: {error}") from error
    if not isinstance(said, dict):
        raise MessageError(f"{text!r:.60} is no mapping of fields; write '{{text: hello}}'")
    return {str(name): value for name, value in said.items()}


def _learn_from(node: str, graph: list[Entity]) -> str:
    """Import the module of the node that is asked: its answer may be of a type of its own.

    Returns:
        Why that fails; empty when it does not.
    """
    uses = next((one.type for one in graph if one.kind == "node" and one.node == node), "")
    if module := uses.partition(":")[0]:
        return why_not_imported(module)
    return ""


def _show(answer: Message, *, as_json: bool) -> None:
    if as_json:
        typer.echo(message_as_json(answer))
        return
    told = plain(answer)
    told.pop("header")
    text = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100) if told else "done"
    typer.echo(text.rstrip())
