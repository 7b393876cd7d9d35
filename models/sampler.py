"""Chooses tokens by grammar, temperature and seed, in C."""

from __future__ import annotations

import ctypes
import json
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from olympus.models import llama_native, schema_words
from olympus.models.blame import UnfitError
from olympus.models.wish import Wish
from olympus.runtime.errors import ModelError

Scores = NDArray[np.float32]
_ROW = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


_SCHEMA_ERRORS = (
    *(AssertionError, AttributeError, IndexError, KeyError, NotImplementedError),
    *(OverflowError, RecursionError, TypeError, ValueError),
)
"""What llama-cpp-python raises for a schema that is none; it checks nothing itself."""
LONGEST_GRAMMAR: Final = 1 << 16
DEEPEST_GRAMMAR: Final = 256


class Scored(Protocol):
    """A model that has just given scores."""

    name: str
    native: Any
    context: Any
    vocab: Any


class Sampler:
    """Chooses tokens for one text.

    The grammar is kept apart from the rest: where it leaves no token at all, llama.cpp's own
    `llama_sampler_sample` would end the whole process; here it is an error like any other.
    """

    def __init__(self, ground: Scored, wish: Wish) -> None:
        """Prepare.

        Raises:
            ModelError: The grammar or the schema is wrong.
        """
        self._ground = ground
        native = ground.native
        self._rules: Any = None
        self._chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        try:
            if grammar := _grammar_of(ground.name, wish):
                self._rules = self._grammar(grammar)
            self._fill(native, wish)
        except BaseException:
            self.close()
            raise
        self._choices = _Choices(native, native.llama_vocab_n_tokens(ground.vocab))

    def next(self, scores: Scores) -> int:
        """Choose by the scores of the last token.

        Args:
            scores: One for each token of the vocabulary.

        Raises:
            UnfitError: The grammar leaves no token.
        """
        native, choices = self._ground.native, self._choices
        choices.load(scores)
        if self._rules is not None:
            native.llama_sampler_apply(self._rules, choices.pointer)
            if not choices.is_any_left():
                raise UnfitError(
                    f"model {self._ground.name}: the grammar leaves no way on from here; a rule "
                    "of it can't be completed with what the model can write"
                )
        native.llama_sampler_apply(self._chain, choices.pointer)
        token = choices.chosen()
        if self._rules is not None and not native.llama_vocab_is_eog(self._ground.vocab, token):
            native.llama_sampler_accept(self._rules, token)
        return token

    def close(self) -> None:
        """Free it; again is harmless."""
        for sampler in (self._chain, self._rules):
            if sampler is not None:
                self._ground.native.llama_sampler_free(sampler)
        self._chain = self._rules = None

    def _fill(self, native: Any, wish: Wish) -> None:
        if wish.temperature <= 0:
            self._add(native.llama_sampler_init_greedy())
            return
        self._add(native.llama_sampler_init_top_k(wish.top_k))
        self._add(native.llama_sampler_init_top_p(wish.top_p, 1))
        self._add(native.llama_sampler_init_temp(wish.temperature))
        self._add(native.llama_sampler_init_dist(wish.seed))

    def _add(self, sampler: Any) -> None:
        self._ground.native.llama_sampler_chain_add(self._chain, sampler)

    def _grammar(self, grammar: str) -> Any:
        native, name = self._ground.native, self._ground.name
        if why := _too_much(grammar):
            raise ModelError(f"model {name}: the grammar {why}")
        with llama_native.quiet_stderr():
            sampler = native.llama_sampler_init_grammar(
                self._ground.vocab, grammar.encode(errors="replace"), b"root"
            )
        if not sampler:
            raise ModelError(
                f"model {name}: the grammar is no GBNF with a rule 'root' (and no line may begin "
                f"with '|'): {grammar[:80]!r}"
            )
        return sampler


def _too_much(grammar: str) -> str:
    """Say why llama.cpp must not see a grammar: it reads by recursion, and so ends processes."""
    if len(grammar) > LONGEST_GRAMMAR:
        return f"has {len(grammar)} letters; write at most {LONGEST_GRAMMAR}"
    depth = deepest = 0
    for letter in grammar:  # also those within texts and comments: an upper bound
        depth = max(0, depth + (letter == "(") - (letter == ")"))
        deepest = max(deepest, depth)
    if deepest > DEEPEST_GRAMMAR:
        return f"is nested {deepest} deep; nest it at most {DEEPEST_GRAMMAR} deep"
    return ""


class _Choices:
    """All tokens with their scores, laid out as llama.cpp's samplers want them."""

    def __init__(self, native: Any, size: int) -> None:
        self._rows = np.zeros(size, _ROW)
        self._native, self._ids = native, np.arange(size, dtype=np.int32)
        self._array = native.llama_token_data_array()
        self.pointer = ctypes.byref(self._array)

    def load(self, scores: Scores) -> None:
        """Begin anew with all tokens."""
        self._rows["id"], self._rows["logit"], self._rows["p"] = self._ids, scores, 0.0
        kind = self._native.llama_token_data_p
        self._array.data = ctypes.cast(self._rows.ctypes.data, kind)
        self._array.size, self._array.selected, self._array.sorted = len(self._rows), -1, False

    def is_any_left(self) -> bool:
        """Tell whether the grammar allows any token."""
        return bool(np.isfinite(self._rows["logit"][: self._array.size]).any())

    def chosen(self) -> int:
        """Return the token that the samplers selected."""
        return int(self._array.data[self._array.selected].id)


def _grammar_of(model: str, wish: Wish) -> str:
    if wish.schema is None:
        return wish.grammar
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        schema_words.check(model, wish.schema)
        return str(json_schema_to_gbnf(json.dumps(wish.schema)))
    except _SCHEMA_ERRORS as error:
        raise ModelError(
            f"model {model}: the JSON schema can't be made into a grammar: {error!r}"
        ) from error
