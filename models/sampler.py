"""Chooses tokens by grammar, temperature and seed, in C."""

from __future__ import annotations

import json
from typing import Any, Protocol

from olympus.models import llama_native
from olympus.models.wish import Wish
from olympus.runtime.errors import ModelError


class Scored(Protocol):
    """A model that has just given scores."""

    name: str
    native: Any
    context: Any
    vocab: Any


class Sampler:
    """Chooses tokens for one text."""

    def __init__(self, ground: Scored, wish: Wish) -> None:
        """Prepare.

        Raises:
            ModelError: The grammar or the schema is wrong.
        """
        self._ground = ground
        native = ground.native
        self._chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        try:
            if grammar := _grammar_of(ground.name, wish):
                self._add(self._grammar(grammar))
            if wish.temperature <= 0:
                self._add(native.llama_sampler_init_greedy())
                return
            self._add(native.llama_sampler_init_top_k(wish.top_k))
            self._add(native.llama_sampler_init_top_p(wish.top_p, 1))
            self._add(native.llama_sampler_init_temp(wish.temperature))
            self._add(native.llama_sampler_init_dist(wish.seed))
        except BaseException:
            self.close()
            raise

    def next(self) -> int:
        """Choose by the scores of the last token."""
        native = self._ground.native
        return int(native.llama_sampler_sample(self._chain, self._ground.context, -1))

    def close(self) -> None:
        """Free it; again is harmless."""
        if self._chain is not None:
            self._ground.native.llama_sampler_free(self._chain)
            self._chain = None

    def _add(self, sampler: Any) -> None:
        self._ground.native.llama_sampler_chain_add(self._chain, sampler)

    def _grammar(self, grammar: str) -> Any:
        native, name = self._ground.native, self._ground.name
        with llama_native.quiet_stderr():
            sampler = native.llama_sampler_init_grammar(
                self._ground.vocab, grammar.encode(), b"root"
            )
        if not sampler:
            raise ModelError(
                f"model {name}: the grammar is no GBNF with a rule 'root' (and no line may begin "
                f"with '|'): {grammar[:80]!r}"
            )
        return sampler


def _grammar_of(model: str, wish: Wish) -> str:
    if wish.schema is None:
        return wish.grammar
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(json.dumps(wish.schema)))
    except (AssertionError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise ModelError(
            f"model {model}: the JSON schema can't be made into a grammar: {error!r}"
        ) from error
