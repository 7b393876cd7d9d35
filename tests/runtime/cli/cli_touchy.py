"""A node whose module can be imported by its host only."""

from __future__ import annotations

import sys

from olympus.runtime.messages import Ack, Message, Text, message
from olympus.runtime.node import Node, output, service, timer

if "host" not in sys.modules["__main__"].__dict__.get("__file__", ""):
    raise RuntimeError("no such place for me")


@message("cli/Mood")
class Mood(Message):
    """How it is."""

    is_well: bool


class Touchy(Node):
    """Answers with a type of everybody's, and with one of its own, which it publishes too."""

    moods = output("moods", Mood)

    @timer(0.05)
    def on_tick(self) -> None:
        self.moods.publish(Mood(is_well=False))

    @service("greet")
    async def on_greet(self, question: Text) -> Ack:
        return Ack(ok=True, text=f"hello {question.text}")

    @service("mood")
    async def on_mood(self, question: Text) -> Mood:
        return Mood(is_well=True)
