"""Texts without end: of the shipped planner, and a larger model's load without a model.

A step of the latter does about what one token of a model with some tens of millions of parameters
does: it reads weights that no cache holds. It releases the interpreter lock, as llama.cpp does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from olympus.models.llama import LlamaModel, open_language_model
from olympus.models.wish import Wish


class Generation:
    """So many tokens, and how long each of them took."""

    def __init__(self, tokens: int, *, width: int = 2048) -> None:
        """Begin.

        Args:
            tokens: Steps until it has ended.
            width: Of the square weights; 2048 are 16 MB, some milliseconds a step.
        """
        self._weights = _weights(width)
        self._state = self._weights[0]
        self._left = tokens
        self.steps_ns: list[int] = []

    def step(self) -> bool:
        """Do one token's work."""
        began = time.perf_counter_ns()
        product = np.einsum("ij,j->i", self._weights, self._state)  # one thread, unlike `@`
        self._state = product / np.abs(product).max()
        self._left -= 1
        self.steps_ns.append(time.perf_counter_ns() - began)
        return self._left > 0

    def result(self) -> int:
        """Return how many steps were done."""
        return len(self.steps_ns)

    def close(self) -> None:
        """Nothing is held."""

    def whole(self) -> int:
        """Do all tokens at once, as a server does that knows of nobody else."""
        while self.step():
            pass
        return self.result()


@cache
def _weights(width: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((width, width), np.float32)


class Text:
    """A sentence that the shipped planner turns into a plan, over and over; see `writer`."""

    def __init__(self, model: LlamaModel) -> None:
        self._generation = model.generate(PROMPT, Wish(special=True, max_tokens=TOKENS))
        self.steps_ns: list[int] = []

    def step(self) -> bool:
        """Read a micro-batch of the sentence, or write a token."""
        began = time.perf_counter_ns()
        more = self._generation.step()
        self.steps_ns.append(time.perf_counter_ns() - began)
        return more

    def result(self) -> int:
        """Return how many tokens it has written."""
        return len(self._generation.result().tokens)

    def close(self) -> None:
        """Give up."""
        self._generation.close()

    def whole(self) -> int:
        """Write it all, without making way."""
        while self.step():
            pass
        return self.result()


PROMPT = "<|begin|> go to the P1 and then patrol the P2 N1 times and wait N2 minutes<|answer|>"
TOKENS = 64


def writer(name: str = "planner") -> Callable[[], Text]:
    """Load a shipped language model; return what begins a text of it.

    Raises:
        ModelError: llama.cpp is not here.
    """
    model = open_language_model(name)
    return lambda: Text(model)
