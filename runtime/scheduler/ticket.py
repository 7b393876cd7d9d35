"""A job together with its work and whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from olympus.runtime.messages.compiled import maker
from olympus.runtime.scheduler.job import End, Job, JobDroppedError
from olympus.runtime.scheduler.profile import Profile
from olympus.runtime.scheduler.work import Stepped, Telling, Work


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job."""

    end: End
    value: Any = None
    error: Exception | None = None

    def unwrap(self) -> Any:
        """Return the value.

        Raises:
            Exception: What the work raised; JobDroppedError when it was not run to its end.
        """
        if self.error is not None:
            raise self.error
        return self.value


make_job, _outcome = maker(Job), maker(Outcome)
"""Each of them is made for every job: a frozen dataclass takes thrice as long to make itself."""
Deliver = Callable[[Outcome], None]
"""Called once, from whichever thread the job ended on; must return within microseconds."""
OnNews = Callable[[object], None]


class Ticket:
    """What was asked for, until it has ended."""

    __slots__ = (
        *("_on_news", "_steps", "_telling", "call", "deliver", "is_aborted", "is_cancelled"),
        *("is_stepped", "job", "pieces", "profile", "work"),
    )

    def __init__(
        self,
        asked: Job,
        work: Work[Any],
        deliver: Deliver,
        *,
        on_news: OnNews | None = None,
        profile: Profile | None = None,
    ) -> None:
        """Write a ticket.

        Args:
            asked: The job, without number and time of arrival: `enter` fills them in.
            work: What it does.
            deliver: Is told the outcome.
            on_news: Is told what stepped work has to tell meanwhile; on a worker thread.
            profile: How long a piece of it takes in virtual time.
        """
        self.job, self.deliver, self.profile = asked, deliver, profile
        self.work = work
        self.is_cancelled = False
        self.is_aborted = False
        self.pieces = 0
        """Steps done so far."""
        self._steps: Stepped[Any] | None = None
        self._telling: Telling | None = None
        self._on_news = on_news
        self.is_stepped = not callable(work)
        """Whether it is done in steps."""
        if callable(work):
            self.call: Callable[[], Any] = work
        else:
            self._steps = work
            self._telling = work if on_news and isinstance(work, Telling) else None

    @property
    def is_unwanted(self) -> bool:
        """Whether it is to be stopped before its next step."""
        return self.is_cancelled or self.is_aborted

    def enter(self, number: int, now_ns: int) -> None:
        """Give the job its place in the order of arrival."""
        asked = self.job
        self.job = make_job(number, asked.tier, asked.deadline_ns, asked.source, asked.what, now_ns)

    def advance(self) -> Outcome | None:
        """Do the next step and hand on its news; the outcome, if that was the last one."""
        steps = self._steps
        if steps is None:
            return run_plain(self.call)
        try:
            more = steps.step()
            self.pieces += 1
            self._hand_on_news()
            return None if more else Outcome(End.DONE, steps.result())
        except (Exception, SystemExit) as error:  # noqa: BLE001  handed to the caller, who asked
            return Outcome(End.FAILED, error=carried(error))

    def _hand_on_news(self) -> None:
        if self._telling is not None and self._on_news is not None:
            news = self._telling.news()
            if news is not None:
                self._on_news(news)

    def give_up(self) -> None:
        """Tell stepped work that nobody wants it any more."""
        if self._steps is not None:
            self._steps.close()


def run_plain(work: Callable[[], Any]) -> Outcome:
    """Run work that can't be interrupted."""
    try:
        return _outcome(End.DONE, work(), None)
    except (Exception, SystemExit) as error:  # noqa: BLE001  handed to the caller, who asked
        return Outcome(End.FAILED, error=carried(error))


def carried(error: Exception | SystemExit) -> Exception:
    """Return an error in a form that a future can carry, and that ends nobody but the job."""
    if isinstance(error, StopIteration):  # no future can: its caller would wait for ever
        made = RuntimeError("the job took from an iterator that had nothing left")
    elif isinstance(error, SystemExit):  # it would end the worker, or the caller's whole host
        made = RuntimeError(f"the job asked to exit: {error}")
    else:
        return error
    made.__cause__ = error
    return made


def shed_error(job: Job, end: End, now_ns: int) -> JobDroppedError:
    """Say why a job was not run, or not to its end, and what can be done about it."""
    late_ms = (now_ns - job.deadline_ns) / 1e6
    full = f"the {job.tier.name} lane is full"
    way_out = "ask less often, or give a deadline so that old jobs leave"
    texts = {
        End.EXPIRED: f"not run, {late_ms:.0f} ms past its deadline",
        End.REJECTED: f"not run, {full}; {way_out}",
        End.EVICTED: f"not run, a newer job took its place because {full}; {way_out}",
        End.SUPERSEDED: "not run, the same source has asked anew",
        End.ABORTED: f"stopped {late_ms:.0f} ms past its deadline, as its lane says",
        End.CANCELLED: "not run, nobody waits for it any more",
    }
    return JobDroppedError(f"{job.source}: {texts[end]}", end)
