"""One sequence of a language model's KV memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class Owner(Protocol):
    """What a place needs of its model."""

    native: Any
    context: Any
    batch: int
    context_tokens: int

    def decode(self, place: int, start: int, tokens: Sequence[int], *, is_last: bool) -> None:
        """Let llama.cpp compute."""


@dataclass(slots=True)
class Place:
    """One sequence of the KV memory: what was read and written there, in order."""

    number: int
    model: Owner
    tokens: list[int] = field(default_factory=list)
    prompt_whole: int = 0
    """How many of them came in whole micro-batches from the start: only those can be reused so that
    nothing differs, since other sums round otherwise."""
    is_taken: bool = False

    @property
    def is_full(self) -> bool:
        """Whether no further token fits."""
        return len(self.tokens) >= self.model.context_tokens

    def reusable(self, prompt: Sequence[int], batch: int) -> int:
        """Count the tokens of a prompt that are here already, in whole micro-batches."""
        limit = min(self.prompt_whole, len(prompt) - 1)
        same = 0
        while same < limit and self.tokens[same] == prompt[same]:
            same += 1
        return same // batch * batch

    def keep(self, tokens: Sequence[int]) -> None:
        """Forget all but the first tokens."""
        native = self.model.native
        memory = native.llama_get_memory(self.model.context)
        native.llama_memory_seq_rm(memory, self.number, len(tokens), -1)
        self.tokens = list(tokens)
        self.prompt_whole = len(tokens)

    def decode(self, tokens: Sequence[int], *, is_last: bool) -> None:
        """Let the model read tokens.

        Args:
            tokens: At most a micro-batch.
            is_last: Whether scores are wanted for the last one.

        Raises:
            ModelError: Aborted, or llama.cpp can't.
        """
        start = len(self.tokens)
        self.model.decode(self.number, start, tokens, is_last=is_last)
        self.tokens += tokens
        if start == self.prompt_whole and len(tokens) == self.model.batch:
            self.prompt_whole = len(self.tokens)

    def free(self) -> None:
        """Let others have it; its tokens stay until then, for prompts that begin alike."""
        self.is_taken = False
