"""Who writes a plan: a model, or whichever of several the router finds able to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol

from olympus.models.attempt import Attempt, Value
from olympus.models.router import Routed, Router
from olympus.models.wish import Completion, Wish
from olympus.runtime.errors import ModelError


class Writing(Protocol):
    """A text that is being written, step by step."""

    def step(self) -> bool:
        """Read a micro-batch of the prompt or write a token; whether there is more to do."""

    def result(self) -> Completion:
        """Return the text."""

    def close(self) -> None:
        """Give up."""


class Writer(Protocol):
    """What writes texts, such as a `LlamaModel`."""

    def generate(self, prompt: str, wish: Wish) -> Writing:
        """Begin a text."""


class RoutedWriter:
    """Writes each text with the first candidate of a task that can."""

    def __init__(self, router: Router, task: str, caller: str) -> None:
        """Take a router.

        Args:
            router: Knows who serves the task.
            task: Its name in the router's rules; all candidates are language models of this
                machine.
            caller: Who asks, for the budget.
        """
        self._router, self._task, self._caller = router, task, caller

    def generate(self, prompt: str, wish: Wish) -> RoutedWriting:
        """Begin a text.

        Raises:
            ModelError: No candidate serves, or the budget is spent.
        """
        request = {
            "prompt": prompt,
            "special": wish.special,
            "max_tokens": wish.max_tokens,
            "grammar": wish.grammar,
            "watch_odds": wish.watch_odds,
            "temperature": wish.temperature,
            "top_k": wish.top_k,
            "top_p": wish.top_p,
            "seed": wish.seed,
        }
        routing = self._router.routing(self._task, request, caller=self._caller)
        return RoutedWriting(routing)


class RoutedWriting:
    """A text that a router's candidates are tried for, one after the other."""

    def __init__(self, routing: Generator[Attempt, Value, Routed]) -> None:
        """Begin with the first candidate; use `RoutedWriter.generate`."""
        self._routing = routing
        self._attempt: Attempt | None = None
        self._routed: Routed | None = None
        self._go_on(lambda: next(routing))

    def step(self) -> bool:
        """Do a step of the candidate that is at it; where it fails the next one begins.

        Raises:
            ModelError: None is left.
        """
        attempt = self._attempt
        if attempt is None:
            return False
        try:
            if attempt.step():
                return True
            value = attempt.result()
        except ModelError as error:
            failed = error
            attempt.close()
            self._go_on(lambda: self._routing.throw(failed))
        else:
            attempt.close()
            self._go_on(lambda: self._routing.send(value))
        return self._attempt is not None

    def result(self) -> Completion:
        """Return the text.

        Raises:
            ModelError: It has none yet.
        """
        if self._routed is None:
            raise ModelError("a text was asked for before it was written")
        value = self._routed.value
        return Completion(
            text=str(value["text"]),
            ending=value["ending"],
            prompt_tokens=int(value["prompt_tokens"]),
            reused_tokens=int(value["reused_tokens"]),
            tokens=(),
            odds=tuple(value.get("odds", ())),
            compute_ms=float(value["compute_ms"]),
        )

    def close(self) -> None:
        """Give up; nothing is held against the model."""
        if self._attempt is not None:
            self._attempt.close()
            self._attempt = None
        self._routing.close()

    def _go_on(self, advance: Callable[[], Attempt]) -> None:
        try:
            self._attempt = advance()
        except StopIteration as done:
            self._attempt, self._routed = None, done.value
        except BaseException:
            self._attempt = None
            raise
