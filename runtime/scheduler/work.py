"""What a job does when its turn comes: a plain call, or work in steps that can be interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class Stepped(Protocol[T_co]):
    """Work in bounded pieces, such as a language model's tokens.

    The scheduler calls `step` on a worker thread of the job's resource until it returns False, then
    `result`. Between two steps it looks whether a more urgent job waits; if so that one runs first
    and this one goes on later, with the state it had: nothing is computed twice. All calls come one
    after the other, though not always from the same thread.
    """

    def step(self) -> bool:
        """Do one piece: one token, or one micro-batch of a prompt.

        Returns:
            Whether there is more to do.
        """

    def result(self) -> T_co:
        """Return what came of it; called once, after the last step."""

    def close(self) -> None:
        """Give up: nobody wants the result any more. Free what it holds; again is harmless."""


@runtime_checkable
class Telling(Protocol):
    """Stepped work that has something to tell before it ends, such as text so far."""

    def news(self) -> object | None:
        """Return what is new since the last call, or None; called after each step."""


@runtime_checkable
class Abortable(Protocol):
    """Work that can be told to end early while it computes, such as ONNX Runtime's terminate."""

    def abort(self) -> None:
        """Make the call that computes raise soon; from another thread, and harmless afterwards."""


Work = Callable[[], T] | Stepped[T]
"""A plain call that runs to its end, or work in steps."""


def run_through(work: Work[T]) -> T:
    """Do work from its first step to its last, at once and without a scheduler.

    Raises:
        Exception: What the work raises.
    """
    if callable(work):
        return work()
    try:
        while work.step():
            pass
        return work.result()
    finally:
        work.close()
