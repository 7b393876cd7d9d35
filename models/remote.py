"""A model behind an OpenAI-compatible address; off unless it is allowed and has a daily budget."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from olympus.models.budgets import Cost
from olympus.models.line import LONGEST_ANSWER, Line, LineError
from olympus.models.llama_request import read_text, read_wish
from olympus.models.wish import Wish
from olympus.runtime.errors import ConfigError, ModelError, did_you_mean

UNSAID_TOKENS: Final = 4096
"""An answer is taken to have no more tokens where the request sets no `max_tokens`."""
_MOST_TOKENS: Final = 10**9
"""A wish for more, or a bill of more, is nonsense."""
_PASSED_ON: Final = ("max_tokens", "temperature", "seed", "stop")


class Endpoint(BaseModel):
    """Where a remote model is, and what it costs."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str
    """Base address, such as `https://llm.example.org/v1`."""
    model: str
    """Its name there."""
    key_file: str = ""
    """File that holds the key; never the key itself."""
    timeout_s: float = Field(20.0, gt=0, le=600)
    """How long connecting may take, and then the answer as a whole."""
    per_million_tokens: float = Field(gt=0)
    """Price, in whatever money the budget is in; the dearer of input and output."""

    @model_validator(mode="after")
    def _check(self) -> Endpoint:
        try:
            parts = urlsplit(self.url)
            is_right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port beyond all ports, half of an IPv6 address
            is_right = False
        if not is_right:
            raise ValueError(f"url {self.url!r} is no address; write https://host/v1")
        return self


class RemoteRules(BaseModel):
    """Whether anything may leave the machine. As it stands, nothing does."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    allow: bool = False
    """Has to be said."""
    daily_budget: float = Field(0.0, ge=0)
    """Money that may be spent in a day; 0 allows nothing."""
    endpoints: dict[str, Endpoint] = Field(default_factory=dict)
    """Remote models by the name that candidates call them: `remote:NAME`."""

    @property
    def is_open(self) -> bool:
        """Whether a remote model may be called at all."""
        return self.allow and self.daily_budget > 0


class RemoteModel:
    """Calls one endpoint."""

    def __init__(self, name: str, rules: RemoteRules) -> None:
        """Check that it may be called; opens nothing.

        Raises:
            ConfigError: It is not listed, not allowed, or has no daily budget.
        """
        if name not in rules.endpoints:
            known = ", ".join(sorted(rules.endpoints)) or "none"
            raise ConfigError(f"remote model {name!r} is not listed in endpoints; known: {known}")
        if not rules.is_open:
            lacking = "allow: true" if not rules.allow else "a daily_budget above 0"
            raise ConfigError(
                f"remote model {name!r} is off: {lacking} is missing in the launch file"
            )
        self.name, self._endpoint = name, rules.endpoints[name]
        self._lock = threading.Lock()
        self._lines: list[Line] = []

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse what this model can't read or can't be held to, before it costs anything.

        Raises:
            ModelError: Names the field.
        """
        self._body(request)

    def most(self, request: Mapping[str, Any]) -> Cost:
        """Return what a call may cost, by the length of the question and of the longest answer.

        Raises:
            ModelError: As `check`.
        """
        body = self._body(request)
        read = len(json.dumps(body))  # no token is shorter than a byte
        return self._cost(read + int(body.get("max_tokens", UNSAID_TOKENS)))

    def complete(self, request: Mapping[str, Any], on_bill: Callable[[Cost], None]) -> str:
        """Ask it.

        Args:
            request: `prompt` or `messages`; `max_tokens`, `temperature`, `seed`, `stop` if wanted.
            on_bill: Told the most that it may cost once the endpoint is reached, and again when it
                is known, whatever the answer is worth.

        Returns:
            Its text.

        Raises:
            ModelError: It can't be reached, refuses, or answers with something else.
        """
        body = self._body(request)
        most = self.most(request)
        status, raw = self._post("/chat/completions", body, partial(on_bill, most))
        if not 200 <= status < 300:
            on_bill(Cost())  # refused, which costs nothing
            raise ModelError(f"remote model {self.name}: answered {status}: {raw[:120]!r}")
        answer = _parsed(raw)
        text = _text_of(answer)
        tokens = _billed_tokens(answer)
        if not tokens and text is not None:
            tokens = _read_tokens(body) + len(text) // 3
        elif not tokens and len(raw) == LONGEST_ANSWER:  # its bill was cut off with its end
            tokens = max(int(most.tokens), len(raw) // 3)
        on_bill(self._cost(tokens) if tokens else most)
        if text is None:
            raise ModelError(
                f"remote model {self.name}: its answer is no completion: {raw[:120]!r}"
            )
        return text

    def close(self) -> None:
        """Cut off what is under way: nobody is left who wants it."""
        with self._lock:
            for line in self._lines:
                line.cut("nobody waits for it any more")

    def _body(self, request: Mapping[str, Any]) -> dict[str, Any]:
        known = {one.name for one in fields(Wish)}
        extra = sorted(request.keys() - known - {"prompt", "messages"})
        if extra:
            hint = did_you_mean(extra[0], known | {"prompt", "messages"})
            raise ModelError(f"model {self.name}: it reads no {extra[0]!r}; {hint}")
        if ("prompt" in request) == bool(request.get("messages")):
            raise ModelError(f"model {self.name}: give either prompt or messages")
        wish = read_wish(
            self.name, {name: request[name] for name in sorted(known & request.keys())}
        )
        wish.check(self.name)
        if wish.max_tokens > _MOST_TOKENS:
            raise ModelError(f"model {self.name}: max_tokens is above {_MOST_TOKENS}; write less")
        if wish.grammar or wish.schema is not None:
            raise ModelError(f"model {self.name}: a far model can't be held to grammar or schema")
        rows = request.get("messages")
        if not rows:
            rows = [{"role": "user", "content": read_text(self.name, request, "prompt")}]
        if not _are_rows(rows):
            raise ModelError(f"model {self.name}: a message needs 'role' and 'content'")
        body = {"model": self._endpoint.model, "messages": list(rows)}
        return body | {name: getattr(wish, name) for name in _PASSED_ON if name in request}

    def _cost(self, tokens: int) -> Cost:
        return Cost(float(tokens), money=tokens * self._endpoint.per_million_tokens / 1e6)

    def _post(
        self, path: str, body: Mapping[str, Any], on_reached: Callable[[], None]
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} | self._authorization()
        line = Line(self._endpoint.url, self._endpoint.timeout_s)
        with self._lock:
            self._lines.append(line)
        try:
            return line.post(path, headers, json.dumps(body), on_reached)
        except LineError as error:
            raise ModelError(f"remote model {self.name}: no answer: {error}") from error
        finally:
            with self._lock:
                self._lines.remove(line)

    def _authorization(self) -> dict[str, str]:
        if not self._endpoint.key_file:
            return {}
        try:
            with open(self._endpoint.key_file, encoding="utf-8") as file:  # noqa: PTH123
                key = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"remote model {self.name}: its key_file: {error}") from error
        if not (key.isascii() and key.isprintable()):  # else an error about it would tell it
            raise ModelError(
                f"remote model {self.name}: its key_file {self._endpoint.key_file} holds more than "
                "a key: write it alone, on one line"
            )
        return {"Authorization": f"Bearer {key}"}


def _are_rows(rows: object) -> bool:
    """Tell whether these are messages of a conversation, in plain JSON values."""
    if not isinstance(rows, list | tuple):
        return False
    try:
        json.dumps(rows)
    except (TypeError, ValueError, RecursionError):
        return False
    return all(isinstance(row, dict) and {"role", "content"} <= row.keys() for row in rows)


def _read_tokens(body: Mapping[str, Any]) -> int:
    """Guess how many tokens a question has: as JSON, one for three characters, is rather many."""
    return len(json.dumps(body)) // 3


def _parsed(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _text_of(answer: object) -> str | None:
    """Return the text of a completion, or None where there is none."""
    try:
        text = answer["choices"][0]["message"]["content"]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _billed_tokens(answer: object) -> int:
    """Return how many tokens an answer says it cost, or 0 where it does not, or says nonsense."""
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    if not isinstance(usage, Mapping):
        return 0
    names = ("total_tokens", "prompt_tokens", "completion_tokens")
    total, *parts = (_number(usage.get(name)) for name in names)
    return max(total, sum(parts))


def _number(told: object) -> int:
    if isinstance(told, bool) or not isinstance(told, int | float):
        return 0
    return math.ceil(told) if 0 <= told <= _MOST_TOKENS else 0
