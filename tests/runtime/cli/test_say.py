from __future__ import annotations

from olympus.runtime.bus import Bus, Entity
from olympus.runtime.cli.say import ask
from olympus.runtime.clock import SystemClock
from olympus.runtime.messages import Ack, Command, Message, Sentence, schema_by_class


class Known(Bus):
    """A bus of one process that says who is on it."""

    entities: list[Entity]

    def graph(self) -> list[Entity]:
        return self.entities


def end(node: str, name: str, kind: type[Message]) -> Entity:
    return Entity(kind="srv", host="test", node=node, topic=name, type=schema_by_class(kind).name)


def robot(*, planner: bool) -> tuple[Bus, list[Message]]:
    """A bus on which a navigator that knows only the lab takes commands."""
    bus, told = Known(SystemClock(), host="test"), list[Message]()

    async def navigate(command: Command) -> Ack:
        told.append(command)
        is_known = command.args.get("place", "lab") == "lab"
        return Ack(ok=is_known, text="understood" if is_known else "no such place is known")

    async def plan(sentence: Sentence) -> Ack:
        told.append(sentence)
        return Ack(ok=True, text="planned")

    bus.serve("r/navigator/say", Command, navigate)
    bus.entities = [end("r/navigator", "r/navigator/say", Command)]
    if planner:
        bus.entities.append(end("r/planner", "r/planner/understand", Sentence))
        bus.serve("r/planner/understand", Sentence, plan)
    return bus, told


async def test_what_the_grammar_knows_never_comes_to_the_planner() -> None:
    bus, told = robot(planner=True)
    assert (await ask(bus, "go to the lab", None)).text == "understood"
    assert not (await ask(bus, "go to the moon", None)).ok
    assert [type(one) for one in told] == [Command, Command]


async def test_a_free_sentence_goes_to_the_planner() -> None:
    bus, told = robot(planner=True)
    assert (await ask(bus, "could you head over to the lab", None)).text == "planned"
    assert [type(one) for one in told] == [Sentence]


async def test_a_place_that_is_half_a_sentence_goes_to_the_planner_when_nobody_knows_it() -> None:
    bus, told = robot(planner=True)
    assert (await ask(bus, "go to the lab and come back home", None)).text == "planned"
    assert [type(one) for one in told] == [Command, Sentence]


async def test_without_a_planner_sentences_that_are_understood_are_named() -> None:
    bus, told = robot(planner=False)
    answer = await ask(bus, "could you head over to the lab", None)
    assert not answer.ok
    assert "say for example" in answer.text
    assert told == []
