"""`enabled: record and speed > 0.2`: small conditions over a launch file's arguments."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue

from olympus.runtime.errors import LaunchError, did_you_mean

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_WORDS: Mapping[str, JsonValue] = {"true": True, "false": False, "null": None}


def holds(text: str, arguments: Mapping[str, JsonValue], where: str) -> bool:
    """Return whether a condition is true.

    Known are argument names, numbers, quoted texts, `true`, `false`, `and`, `or`, `not`,
    comparisons, `in` and brackets. A `${name}` is the same as the bare name.

    Args:
        text: Such as `record and not use_sim_time`.
        arguments: The values of the arguments.
        where: `file:line`, for errors.

    Raises:
        LaunchError: It is no condition, or names something unknown.
    """
    bare = text.replace("${", "(").replace("}", ")")
    try:
        tree = ast.parse(bare.strip(), mode="eval")
        return bool(_Evaluation(arguments, where).value(tree.body))
    except (SyntaxError, TypeError, ValueError, KeyError) as error:
        raise LaunchError(
            f"{where}: {text!r} is no condition ({error}); write for example 'record and speed > 0'"
        ) from error


class _Evaluation:
    def __init__(self, arguments: Mapping[str, JsonValue], where: str) -> None:
        self._known = {**_WORDS, **arguments}
        self._where = where

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.Name() | ast.Attribute():
                return self._named(ast.unparse(node))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.value(item) for item in items]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.value(operand)
            case ast.BoolOp(op=op, values=values):
                test = all if isinstance(op, ast.And) else any
                return test(self.value(item) for item in values)
            case ast.Compare():
                return self._compared(node)
        raise TypeError(f"{ast.unparse(node)!r} is not understood here")

    def _compared(self, node: ast.Compare) -> bool:
        values = [self.value(item) for item in (node.left, *node.comparators)]
        return all(
            _COMPARE[type(op)](left, right)
            for op, left, right in zip(node.ops, values, values[1:], strict=False)
        )

    def _named(self, name: str) -> JsonValue:
        if name not in self._known:
            hint = did_you_mean(name, self._known)
            raise LaunchError(f"{self._where}: the condition names {name!r}; {hint}")
        return self._known[name]
