"""One text being generated, a micro-batch or a token at a time."""

from __future__ import annotations

import codecs
import ctypes
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from olympus.models import llama_native
from olympus.models.sampler import Sampler
from olympus.models.wish import Completion, Ending, Wish
from olympus.runtime.errors import ModelError

if TYPE_CHECKING:
    from olympus.models.llama_place import Place


class Ground(Protocol):
    """What a generation needs of its model."""

    name: str
    native: Any
    context: Any
    vocab: Any
    batch: int
    places: Sequence[Place]
    abort_flag: llama_native.AbortFlag

    def take_place(self, tokens: Sequence[int]) -> Place:
        """Give it a sequence of the KV memory."""


class Generation:
    """A text being generated; the scheduler's `Stepped`.

    What the model has read and written stays in its own sequence of the KV memory, so it may wait
    between two steps for as long as it likes, while others are served, and goes on with the very
    tokens it would have given undisturbed. No two steps of one model at once.
    """

    def __init__(self, ground: Ground, tokens: Sequence[int], wish: Wish) -> None:
        """Prepare; nothing is computed yet. Use `LlamaModel.begin`."""
        self._ground, self._wish = ground, wish
        self._prompt = list(tokens)
        self._place: Place | None = None
        self._sampler = Sampler(ground, wish)
        self._done, self._reused = 0, 0
        self._out: list[int] = []
        self._odds: list[float] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._told = 0
        self._ending: Ending | None = None
        self._compute_ns = 0
        self._is_running = self._is_aborted = self._is_closed = False

    def step(self) -> bool:
        """Read one micro-batch of the prompt, or generate one token.

        Raises:
            ModelError: It was aborted or closed, or the model can't go on.
        """
        if self._is_closed or self._is_aborted:
            word = "aborted" if self._is_aborted else "closed"
            raise ModelError(f"model {self._ground.name}: the generation was {word}")
        if self._ending is not None:
            return False
        began = time.perf_counter_ns()
        self._is_running = True
        try:
            self._advance()
        finally:
            self._is_running = False
            self._ground.abort_flag.set(False)
            self._compute_ns += time.perf_counter_ns() - began
        if self._ending is None and self._compute_ns > self._wish.max_ms * 1e6:
            self._ending = "time"
        if self._ending is not None:
            self._finish()
        return self._ending is None

    def result(self) -> Completion:
        """Return the text.

        Raises:
            ModelError: It is not finished.
        """
        if self._ending is None:
            raise ModelError(f"model {self._ground.name}: the generation is not finished; step on")
        return Completion(
            self._text,
            self._ending,
            len(self._prompt),
            self._reused,
            tuple(self._out),
            tuple(self._odds),
            self._compute_ns / 1e6,
        )

    @property
    def counted(self) -> int:
        """Tokens read, remembered ones included, and written so far."""
        return self._done + len(self._out)

    def news(self) -> str | None:
        """Return the text that came since the last call; None if there is none.

        Text that may be the beginning of a stop text is kept back until that is clear.
        """
        held = 0 if self._ending else _held_back(self._text, self._wish.stop)
        end = len(self._text) - held
        if end <= self._told:
            return None
        new, self._told = self._text[self._told : end], end
        return new

    def abort(self) -> None:
        """End the step that computes now, within a node of the graph; from any thread."""
        self._is_aborted = True
        if self._is_running:
            self._ground.abort_flag.set(True)

    def close(self) -> None:
        """Free its place in the KV memory; again is harmless."""
        self._is_closed = True
        self._finish()

    def run(self) -> Completion:
        """Step to the end, undisturbed."""
        try:
            while self.step():
                pass
            return self.result()
        finally:
            self.close()

    def _advance(self) -> None:
        if self._place is None:
            self._place = self._ground.take_place(self._prompt)
            self._done = self._reused = self._place.reusable(self._prompt, self._ground.batch)
            self._place.keep(self._prompt[: self._done])
        prompt_left = self._prompt[self._done :]
        if prompt_left:
            part = prompt_left[: self._ground.batch]
            self._place.decode(part, is_last=len(part) == len(prompt_left))
            self._done += len(part)
            if len(part) < len(prompt_left):
                return
        else:
            self._place.decode(self._out[-1:], is_last=True)
        self._choose()

    def _choose(self) -> None:
        """Take the next token from the scores of the last one."""
        ground = self._ground
        scores = self._scores()
        token = self._sampler.next(scores)
        if ground.native.llama_vocab_is_eog(ground.vocab, token):
            self._odds += [_odds(scores, token)] if self._wish.watch_odds else []
            self._end("end")
            return
        self._out.append(token)
        if self._wish.watch_odds:
            self._odds.append(_odds(scores, token))
        self._text += self._decoder.decode(llama_native.piece(ground.native, ground.vocab, token))
        if (cut := _stop_at(self._text, self._wish.stop)) is not None:
            self._text = self._text[:cut]
            self._end("stop")
        elif len(self._out) >= self._wish.max_tokens:
            self._end("tokens")
        elif self._place is not None and self._place.is_full:
            self._end("context")

    def _scores(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        ground = self._ground
        pointer = ground.native.llama_get_logits_ith(ground.context, -1)
        size = ground.native.llama_vocab_n_tokens(ground.vocab)
        return np.ctypeslib.as_array(pointer, (size,)).astype(np.float32)

    def _end(self, ending: Ending) -> None:
        self._ending = ending
        if ending != "stop":
            self._text += self._decoder.decode(b"", final=True)

    def _finish(self) -> None:
        self._sampler.close()
        if self._place is not None:
            self._place.free()
            self._place = None


def _odds(scores: np.ndarray[Any, np.dtype[np.float32]], token: int) -> float:
    top = float(scores.max())
    return float(np.exp(scores[token] - top) / np.exp(scores - top).sum())


def _stop_at(text: str, stops: Sequence[str]) -> int | None:
    return min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)


def _held_back(text: str, stops: Sequence[str]) -> int:
    """Count the letters at the end that may be the beginning of a stop text."""
    lengths = (n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n]))
    return max(lengths, default=0)


def as_array(values: Sequence[int], native: Any) -> ctypes.Array[Any]:
    """Lay tokens out for C."""
    array: ctypes.Array[Any] = (native.llama_token * len(values))(*values)
    return array
