"""Requests to a language model in plain JSON values, as model host and router carry them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olympus.models.generation import Generation
from olympus.models.wish import Wish
from olympus.runtime.errors import ModelError


class Answering:
    """A generation whose result is plain JSON values; see `LlamaModel.begin`."""

    def __init__(self, generation: Generation) -> None:
        """Wrap a generation."""
        self._generation = generation

    def step(self) -> bool:
        """See `Generation.step`."""
        return self._generation.step()

    def result(self) -> Mapping[str, object]:
        """See `Completion.to_json`."""
        return self._generation.result().to_json()

    @property
    def counted(self) -> int:
        """See `Generation.counted`."""
        return self._generation.counted

    def news(self) -> str | None:
        """See `Generation.news`."""
        return self._generation.news()

    def abort(self) -> None:
        """See `Generation.abort`."""
        self._generation.abort()

    def close(self) -> None:
        """See `Generation.close`."""
        self._generation.close()


class Embedding:
    """A text's meaning as a job of one step, the result plain JSON values; see `LlamaModel.embed`.

    One step even if the text is long: its mean is over all tokens at once.
    """

    def __init__(self, embed: Callable[[str], NDArray[np.float32]], text: str, tokens: int) -> None:
        """Plan it.

        Args:
            embed: Computes it.
            text: What to compute it of.
            tokens: How many the text has.
        """
        self._embed, self._text, self._tokens = embed, text, tokens
        self._found: list[float] = []

    def step(self) -> bool:
        """Compute it.

        Raises:
            ModelError: The model can't.
        """
        self._found = [float(value) for value in self._embed(self._text)]
        return False

    def result(self) -> Mapping[str, object]:
        """Return `embedding`, of length 1, and how many tokens were read and written."""
        return {"embedding": self._found, "prompt_tokens": self._tokens, "tokens": 0}

    @property
    def counted(self) -> int:
        """Tokens read so far: none, or all."""
        return self._tokens if self._found else 0

    def close(self) -> None:
        """Hold nothing."""


def read_text(model: str, request: Mapping[str, Any], field: str) -> str:
    """Read a field that holds text.

    Raises:
        ModelError: It holds something else.
    """
    value = request[field]
    if not isinstance(value, str):
        raise ModelError(f"model {model}: {field} is {value!r:.60}; write text")
    return value


def read_wish(model: str, given: Mapping[str, Any]) -> Wish:
    """Read the fields of a wish.

    Raises:
        ModelError: One can't be read; names it.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        read, kind = _READERS[name]
        try:
            values[name] = read(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelError(
                f"model {model}: the request can't be read: {name}={value!r:.60}; write {kind}"
            ) from error
    return Wish(**values)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _schema(value: object) -> dict[str, object] | None:
    if value is not None and not isinstance(value, dict):
        raise TypeError
    return value


def _stops(value: str | Sequence[object]) -> tuple[str, ...]:
    """Read one stop text or several; an empty one would end every text before it begins.

    Raises:
        ValueError: One is empty.
    """
    stops = (value,) if isinstance(value, str) else tuple(_text(stop) for stop in value)
    if "" in stops:
        raise ValueError
    return stops


_NUMBER, _WHOLE = (float, "a number"), (int, "a whole number")
_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "max_tokens": _WHOLE,
    "max_ms": _NUMBER,
    "temperature": _NUMBER,
    "top_k": _WHOLE,
    "top_p": _NUMBER,
    "seed": _WHOLE,
    "grammar": (_text, "GBNF as text"),
    "schema": (_schema, "a JSON schema, which is an object"),
    "stop": (_stops, "a text or a list of texts, none of them empty"),
    "special": (_yes_or_no, "true or false"),
    "watch_odds": (_yes_or_no, "true or false"),
}
"""How each field of `Wish` is read, and what to write."""


def read_row(model: str, message: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Read a message of a conversation: role and content.

    Raises:
        ModelError: It is none.
    """
    if not isinstance(message, Mapping) or {"role", "content"} - message.keys():
        raise ModelError(f"model {model}: a message needs 'role' and 'content'")
    # What people write must not pass for the template's own marks.
    content = str(message["content"]).replace("<|", "< |")
    return str(message["role"]).encode(), content.encode()
