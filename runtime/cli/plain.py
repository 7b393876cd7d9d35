"""Writes messages for a terminal: as JSON, and as YAML."""

from __future__ import annotations

import json

import yaml

from olympus.runtime.messages import Message, schema_by_class
from olympus.runtime.messages.plain import plain


def as_json(message: Message, *, full: bool = False) -> str:
    """Return a message as one line of JSON, with its type first.

    Args:
        message: Any message.
        full: Write arrays out.
    """
    name = schema_by_class(type(message)).name
    return json.dumps({"type": name, **plain(message, full=full)}, allow_nan=False)


def as_text(message: Message, *, full: bool = False) -> str:
    """Return a message as YAML, the fields that matter first and the header last.

    Args:
        message: Any message.
        full: Write arrays out.
    """
    fields = plain(message, full=full)
    header = fields.pop("header")
    text: str = yaml.safe_dump(
        {**fields, "header": header}, sort_keys=False, allow_unicode=True, width=100
    )
    return text + "---"
