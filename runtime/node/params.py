"""Parameters of a node: declared, typed, with ranges; listed, read and set while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from olympus.runtime.errors import ParamError, did_you_mean

P = TypeVar("P", bound="NodeParams")


class NodeParams(BaseModel):
    """Base of every node's `Params`; fields with `Field(default, ge=…, le=…, description=…)`."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)

    def before_start(self) -> list[str]:
        """Look whether what the values name, such as a model, is there.

        `olympus check` and `olympus launch` ask before anything starts. A subclass may look at
        files; it takes milliseconds, and opens no device.

        Returns:
            What a person should know although the node can start.

        Raises:
            OlympusError: The node can't start.
        """
        return []

    def models_asked(self) -> Mapping[str, str]:
        """Name the models that a node with these has others run, by those nodes; here none."""
        return {}


def make_params(cls: type[P], values: Mapping[str, Any], node: str) -> P:
    """Check values and return the parameters they make.

    Args:
        cls: The node's `Params`.
        values: By name; what is missing takes its default.
        node: Whose they are, for the message.

    Raises:
        ParamError: Names each field that is wrong, why, and what is allowed.
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise ParamError(_explain(error, cls, node)) from error


def changed_params(current: P, values: Mapping[str, Any], node: str) -> tuple[P, set[str]]:
    """Return the parameters after a change, and the names of those that differ.

    Raises:
        ParamError: A value is refused; `current` is untouched.
    """
    merged = make_params(type(current), {**current.model_dump(), **values}, node)
    differing = {name for name in values if getattr(current, name) != getattr(merged, name)}
    return merged, differing


def as_json(params: NodeParams) -> dict[str, str]:
    """Return every parameter as JSON text, by name."""
    return {name: json.dumps(value) for name, value in params.model_dump(mode="json").items()}


def from_json(values: Mapping[str, str], node: str) -> dict[str, Any]:
    """Read parameters given as JSON text; text that is no JSON is taken as a string.

    Raises:
        ParamError: A value is empty.
    """
    read: dict[str, Any] = {}
    for name, text in values.items():
        if not text:
            raise ParamError(f'{node}.{name}: no value given; write "" for an empty string')
        try:
            read[name] = json.loads(text)
        except (ValueError, RecursionError):
            read[name] = text
    return read


def _explain(error: ValidationError, cls: type[NodeParams], node: str) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"]) or "params"
        if problem["type"] == "extra_forbidden":
            text = f"no such parameter; {did_you_mean(name, cls.model_fields)}"
        else:
            field = cls.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
            about = f" ({field.description})" if field is not None and field.description else ""
            text = f"{problem['input']!r:.80}: {problem['msg']}{about}"
        lines.append(f"{node}.{name}: {text}")
    return "; ".join(lines)
