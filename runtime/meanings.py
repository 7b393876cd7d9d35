"""What the docstrings below a model's fields say.

Pydantic can read them itself (`use_attribute_docstrings`), but does so when the class is made: that
took every launcher a tenth of its start, for what hardly anybody asks.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import get_args

from pydantic import BaseModel


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings below the fields of a model, and of those it is made from."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if not issubclass(cls, BaseModel) or cls is BaseModel:
            continue
        top = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        for field, text in pairwise(top.body if isinstance(top, ast.ClassDef) else ()):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(meaning))),
                ):
                    found[name] = inspect.cleandoc(meaning)
    return found


def models(of: object) -> Iterator[type[BaseModel]]:
    """Return a model and all that its fields name."""
    if isinstance(of, type) and issubclass(of, BaseModel):
        yield of
        for field in of.model_fields.values():
            yield from models(field.annotation)
    for part in get_args(of):
        yield from models(part)


def describe(model: type[BaseModel]) -> None:
    """Give the fields of a model, and of those it names, their docstrings as descriptions."""
    for one in reversed(list(models(model))):
        told = meanings(one)
        for name, field in one.model_fields.items():
            field.description = field.description or told.get(name)
        one.model_rebuild(force=True)
