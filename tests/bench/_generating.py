"""A language model's load without a language model: steps of real matrix work, one after another.

A step does about what one token of a model with some tens of millions of parameters does: it reads
weights that no cache holds. It releases the interpreter lock, as llama.cpp does.
"""

from __future__ import annotations

import time
from functools import cache

import numpy as np
from numpy.typing import NDArray


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
