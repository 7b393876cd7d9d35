"""What a question to a model host says besides its tensors or its text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from olympus.runtime.errors import ModelError
from olympus.runtime.messages.inference import Infer, Prompt
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS


class Wishes(TypedDict):
    """How a job is to be run."""

    tier: Tier
    deadline_ns: int
    source: str


def wishes_of(question: Infer | Prompt) -> Wishes:
    """Return how the job that a question stands for is to be run."""
    deadline_ns = question.deadline or NEVER_NS
    return {"tier": question.tier, "deadline_ns": deadline_ns, "source": question.source}


def request_of(model: str, text: str) -> Mapping[str, Any]:
    """Return the JSON object of a `Prompt`.

    Raises:
        ModelError: It is none.
    """
    try:
        request = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"model {model}: the request is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise ModelError(f"model {model}: the request is no JSON object")
    return request
