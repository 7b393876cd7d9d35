"""What people want, as typed commands."""

from olympus.runtime.agents.grammar import EXAMPLES, NotUnderstoodError, understand

__all__ = ["EXAMPLES", "NotUnderstoodError", "understand"]
