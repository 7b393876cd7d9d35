"""A model behind an OpenAI-compatible address; off unless it is allowed and has a daily budget."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from olympus.runtime.errors import ConfigError, ModelError

LONGEST_ANSWER = 1 << 20


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
    per_million_tokens: float = Field(gt=0)
    """Price, in whatever money the budget is in; the dearer of input and output."""

    @model_validator(mode="after")
    def _check(self) -> Endpoint:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
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


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """What a remote model said."""

    text: str
    tokens: int
    money: float


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

    def complete(self, request: Mapping[str, Any]) -> RemoteAnswer:
        """Ask it.

        Args:
            request: `prompt` or `messages`; `max_tokens`, `temperature`, `seed`, `stop` if wanted.

        Raises:
            ModelError: It can't be reached, refuses, or answers with something else.
        """
        messages = request.get("messages") or [
            {"role": "user", "content": request.get("prompt", "")}
        ]
        body = {"model": self._endpoint.model, "messages": list(messages)}
        body |= {
            name: request[name]
            for name in ("max_tokens", "temperature", "seed", "stop")
            if name in request
        }
        answer = self._post("/chat/completions", body)
        try:
            text = str(answer["choices"][0]["message"]["content"])
            tokens = int(answer.get("usage", {}).get("total_tokens", 0))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelError(f"remote model {self.name}: its answer is no completion") from error
        tokens = tokens or len(json.dumps(body)) // 3 + len(text) // 3
        return RemoteAnswer(text, tokens, tokens * self._endpoint.per_million_tokens / 1e6)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        parts = urlsplit(self._endpoint.url)
        headers = {"Content-Type": "application/json"} | self._authorization()
        try:
            connection = self._connection(parts.scheme, str(parts.hostname), parts.port)
            try:
                connection.request("POST", parts.path + path, json.dumps(body), headers)
                reply = connection.getresponse()
                raw = reply.read(LONGEST_ANSWER)
            finally:
                connection.close()
            answer = json.loads(raw)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ModelError(f"remote model {self.name}: no answer: {error}") from error
        if reply.status != 200 or not isinstance(answer, dict):
            raise ModelError(f"remote model {self.name}: answered {reply.status}: {raw[:120]!r}")
        return answer

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        timeout_s = self._endpoint.timeout_s
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)

    def _authorization(self) -> dict[str, str]:
        if not self._endpoint.key_file:
            return {}
        try:
            with open(self._endpoint.key_file, encoding="utf-8") as file:  # noqa: PTH123
                return {"Authorization": f"Bearer {file.read().strip()}"}
        except OSError as error:
            raise ModelError(f"remote model {self.name}: its key_file: {error}") from error
