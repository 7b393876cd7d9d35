"""Makes commands and their plans: what the planner learns from. Seeded; nothing is kept on disk."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

from olympus.models.planner.plan import Condition, Step
from olympus.models.training.commands import phrases
from olympus.models.training.commands.nonsense import BEYOND, WORDS
from olympus.models.training.commands.parts import PARTS
from olympus.models.training.commands.site import Names
from olympus.models.training.commands.wording import Example, Said, gerund, in_words, tidy

STEPS: Final = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)
KINDS: Final = ("go",) * 5 + ("patrol",) * 5 + ("turn",) * 2 + ("wait",) * 3 + ("stop", "continue")
UNKNOWN: Final = 0.15
"""Share of names that the site does not know."""
BAD: Final = 0.16
"""Share of sentences after which it should ask back."""
HARD_STEPS: Final = (1, 2, 2, 2, 2, 3, 3)
AGAIN: Final = 0.25
"""Share of the places of a drilled command that were named in it before."""
_KEY = re.compile(r"[A-Z][A-Z_]+\b|\b[XY]\b")
_INNER = re.compile(r"\(([^()]*)\)")


class Teller:
    """Tells commands of one made-up site."""

    def __init__(
        self,
        rng: random.Random,
        *,
        unseen: bool = False,
        unknown: float = UNKNOWN,
        bad: float = BAD,
        drill: float = 0.0,
    ) -> None:
        """Draw a site; see `Names`.

        Args:
            rng: Where chance comes from.
            unseen: Use only names that training never meets.
            unknown: Share of names that the site does not know.
            bad: Share of sentences after which it should ask back.
            drill: Share of the commands that practise what is hard: several steps, told in
                another order than they are done in, at a place that was named before.
        """
        self._rng, self._bad, self._drill = rng, bad, drill
        self._is_drill, self._last_place = False, ""
        self._names = Names(rng, unseen=unseen, unknown=unknown)

    @property
    def names(self) -> Names:
        """The site."""
        return self._names

    def example(self) -> Example:
        """Tell a command, or something that is none."""
        said = self._nonsense() if self._rng.random() < self._bad else self._command()
        sentence = tidy(said.text)
        return Example(sentence, self._names.mask.of(sentence), said.steps)

    def _command(self) -> Said:
        self._is_drill = bool(self._drill) and self._rng.random() < self._drill
        said = self._several(self._rng.choice(HARD_STEPS if self._is_drill else STEPS))
        return Said(self._framed(said), said.steps, is_verb=False)

    def _framed(self, said: Said) -> str:
        """Put politeness and chatter around it."""
        form = self._rng.choice(phrases.VERB_ASK if said.is_verb else phrases.VERBLESS_ASK)
        text = self._fill(form, VERB=said.text, BODY=said.text, GERUND=gerund(said.text))
        if self._rng.random() < 0.05:
            text = self._fill(self._rng.choice(phrases.CONTEXT), BODY=text)
        return text

    def _several(self, count: int) -> Said:
        if count == 1:
            return self._one()
        if self._rng.random() < 0.3:
            return self._elided(count)
        if self._rng.random() < 0.15 and count == 2:
            return self._triggered()
        first, rest = self._one(), self._several(count - 1)
        if not rest.is_verb and self._rng.random() < 0.8:
            rest = self._until_verb(count - 1)
        form = self._joint()
        while "ING" in form and not (first.is_verb and rest.is_verb):
            form = self._joint()
        text = self._fill(
            form,
            ONE=first.text,
            TWO=rest.text,
            ONEING=gerund(first.text),
            TWOING=gerund(rest.text),
        )
        return Said(text, first.steps + rest.steps, first.is_verb and form.startswith("ONE"))

    def _joint(self) -> str:
        is_reordered = self._is_drill and self._rng.random() < 0.5
        return self._rng.choice(phrases.REORDERED if is_reordered else phrases.JOIN)

    def _place(self) -> str:
        """Name a place; in a drilled command sometimes the same as before."""
        is_again = self._is_drill and self._last_place and self._rng.random() < AGAIN
        self._last_place = self._last_place if is_again else self._names.place()
        return self._last_place

    def _until_verb(self, count: int) -> Said:
        while not (said := self._several(count)).is_verb:
            pass
        return said

    def _one(self) -> Said:
        kind = self._rng.choice(KINDS)
        maker: Callable[[], Said] = getattr(self, f"_{kind}")
        return maker()

    def _go(self) -> Said:
        if self._rng.random() < 0.2:
            x, y = self._coordinate(), self._coordinate()
            form = self._rng.choice(phrases.GO_POINT)
            text = self._fill(form.replace("XY", phrases.XY), X=x, Y=y)
            return Said(text, (Step(do="go", x=float(x), y=float(y)),), is_verb=True)
        place = self._place()
        step = Step(do="go", place=place)
        return self._said(phrases.GO, phrases.GO_SAID, step, PLACE=place)

    def _patrol(self) -> Said:
        place, rounds = (
            self._place(),
            str(self._rng.choice((2, 2, 3, 3, 4, 5, 6, 8, 10, 12, 20))),
        )
        match self._rng.randrange(10):
            case 0 | 1:
                step = Step(do="patrol", place=place)
                return self._said(phrases.PATROL, phrases.PATROL_SAID, step, PLACE=place)
            case 2 | 3:
                step = Step(do="patrol", place=place, rounds=int(rounds))
                values = {"PLACE": place, "ROUNDS": self._number(rounds)}
                return self._said(phrases.PATROL_ROUNDS, phrases.ROUNDS_SAID, step, **values)
            case 4:
                return Said(self._fill("ROAM"), (Step(do="patrol"),), is_verb=True)
            case 5:
                form = self._rng.choice(phrases.ROAM_ROUNDS)
                text = self._fill(form, ROUNDS=self._number(rounds))
                return Said(text, (Step(do="patrol", rounds=int(rounds)),), is_verb=True)
            case 6 | 7:
                return self._seek(place)
            case _:
                return self._patrol_until(place)

    def _seek(self, place: str) -> Said:
        thing = self._names.thing()
        is_verb = self._rng.random() < 0.85
        form = self._rng.choice(phrases.SEEK if is_verb else phrases.SEEK_SAID)
        text = self._fill(form, PLACE=place, THING=self._names.said(thing))
        step = Step(
            do="patrol",
            place=place if place in text else None,
            until=Condition(sees=thing),
        )
        return Said(text, (step,), is_verb)

    def _patrol_until(self, place: str) -> Said:
        condition, words = self._condition()
        is_here = self._rng.random() < 0.25
        start = "ROAM" if is_here else self._rng.choice(phrases.PATROL)
        if self._rng.random() < 0.1:
            verb, name = ("see", condition.sees) if condition.sees else ("hear", condition.hears)
            ending = self._fill(phrases.AS_LONG_AS, VERB_A=f"{verb} (a|any|the)", NAME=str(name))
        else:
            ending = f"{self._fill(self._rng.choice(phrases.HALT_WHEN))} {words}"
        text = f"{self._fill(start, PLACE=place)} {ending}"
        is_first = self._rng.random() < 0.1
        if is_first:
            body = gerund(self._fill(start, PLACE=place))
            text = self._fill(
                "(WHEN|if) CONDITION while BODY( ,|) HALT", CONDITION=words, BODY=body
            )
        step = Step(do="patrol", place=None if is_here else place, until=condition)
        return Said(text, (step,), is_verb=not is_first)

    def _wait(self) -> Said:
        match self._rng.randrange(5):
            case 0 | 1:
                value = str(
                    self._rng.choice((1, 2, 3, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 45, 60, 90))
                )
                step = Step(do="wait", seconds=float(value))
                verbs, others = phrases.WAIT_SECONDS, phrases.WAIT_SECONDS_SAID
                return self._said(verbs, others, step, SECONDS=self._number(value))
            case 2:
                value = str(self._rng.choice((1, 2, 3, 4, 5, 10, 15, 20, 30)))
                step = Step(do="wait", minutes=float(value))
                return self._said(
                    phrases.WAIT_MINUTES,
                    phrases.WAIT_MINUTES_SAID,
                    step,
                    MINUTES=self._number(value),
                )
            case _:
                condition, words = self._condition()
                form = self._rng.choice(phrases.WAIT_SEES if condition.sees else phrases.WAIT_HEARS)
                name = self._names.said(str(condition.sees or condition.hears))
                text = self._fill(form, SEES=words, HEARS=words, THING=name, SOUND=name)
                return Said(text, (Step(do="wait", until=condition),), is_verb=True)

    def _turn(self) -> Said:
        match self._rng.randrange(5):
            case 0 | 1:
                side = self._rng.choice(("left", "right"))
                step = Step.model_validate({"do": "turn", "direction": side})
                return self._said(phrases.TURN, phrases.TURN_SAID, step, DIRECTION=side)
            case 2:
                side = self._rng.choice(("left", "right"))
                degrees = str(self._rng.choice((5, 10, 15, 20, 30, 45, 60, 70, 90, 120, 135, 180)))
                step = Step.model_validate({"do": "turn", "direction": side, "degrees": degrees})
                form = self._rng.choice(phrases.TURN_DEGREES)
                text = self._fill(form, DIRECTION=side, DEGREES=self._number(degrees))
                return Said(text, (step,), is_verb=True)
            case _:
                return Said(
                    self._fill("ROUND"), (Step(do="turn", direction="around"),), is_verb=True
                )

    def _stop(self) -> Said:
        return Said(self._fill("CEASE"), (Step(do="stop"),), is_verb=True)

    def _continue(self) -> Said:
        return Said(self._fill("RESUME"), (Step(do="continue"),), is_verb=True)

    def _said(
        self, verbs: tuple[str, ...], others: tuple[str, ...], step: Step, **values: str
    ) -> Said:
        is_verb = self._rng.random() < 0.85
        text = self._fill(self._rng.choice(verbs if is_verb else others), **values)
        return Said(text, (step,), is_verb)

    def _condition(self) -> tuple[Condition, str]:
        """Choose what ends a step, and how it is said."""
        if self._rng.random() < 0.55:
            thing = self._names.thing()
            return Condition(sees=thing), self._fill("SEES", THING=self._names.said(thing))
        sound = self._names.sound()
        return Condition(hears=sound), self._fill("HEARS", SOUND=self._names.said(sound))

    def _triggered(self) -> Said:
        condition, words = self._condition()
        after = self._until_verb(1)
        form = self._rng.choice(phrases.TRIGGER)
        text = self._fill(form, CONDITION=words, TWO=after.text)
        steps = (Step(do="wait", until=condition), *after.steps)
        return Said(text, steps, is_verb=form.startswith("(listen"))

    def _elided(self, count: int) -> Said:
        kinds = [kinds for kinds in phrases.ELIDED if len(kinds.split()) == count]
        chosen = self._rng.choice(kinds)
        form = self._rng.choice(phrases.ELIDED[chosen])
        values: dict[str, str] = {}
        steps = [
            self._elided_step(kind, word, values, form)
            for kind, word in zip(chosen.split(), ("ONE", "TWO", "THREE"), strict=False)
        ]
        text = self._fill(form, **values)
        return Said(
            text,
            tuple(steps),
            is_verb=form.startswith(("(MOVE", "MOVE", "(VISIT", "VISIT", "GUARD")),
        )

    def _elided_step(self, kind: str, word: str, values: dict[str, str], form: str) -> Step:
        step: dict[str, object] = {"do": kind}
        if kind in ("go", "patrol"):
            step["place"] = name = self._place()
            values[f"P_{word}"] = self._rng.choice(("the ", "the ", "")) + name
        if f"R_{word}" in form:
            step["rounds"] = rounds = self._rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 10))
            values[f"R_{word}"] = self._number(str(rounds))
        if kind == "patrol" and f"C_{word}" in form:
            step["until"], values[f"C_{word}"] = self._condition()
        if kind == "turn":
            step["direction"] = values[f"D_{word}"] = self._rng.choice(("left", "right"))
        if kind == "wait":
            self._elided_wait(step, values, form)
        return Step.model_validate(step)

    def _elided_wait(self, step: dict[str, object], values: dict[str, str], form: str) -> None:
        if "WAITING" in form and self._rng.random() < 0.4:
            step["until"], words = self._condition()
            values["WAITING"] = self._fill("TILL ") + words
            return
        value = self._rng.choice((2, 3, 5, 8, 10, 15, 20, 30, 40, 50))
        unit, word = self._rng.choice((("seconds", "PERIOD"), ("minutes", "MINUTE")))
        step[unit] = value
        length = f"{self._number(str(value))} {self._fill(word)}"
        values |= {"W_TIME": length, "WAITING": f"{self._fill('FOR')} {length}"}

    def _nonsense(self) -> Said:
        form = self._rng.choice(BEYOND)
        good = self._several(self._rng.choice((1, 1, 1, 2)))
        text = form
        for key, give in (
            ("GOOD", lambda: good.text),
            ("THINGY", lambda: self._rng.choice((self._names.thing(), self._rng.choice(WORDS)))),
            ("WORD", lambda: self._rng.choice(WORDS)),
            ("PLACE", self._names.place),
            ("SOUND", self._names.sound),
            ("NUM", lambda: self._number(str(self._rng.randint(1, 99)))),
        ):
            text = _each(key, give, self._fill(text))
        text = self._fill(text)
        if self._rng.random() < 0.2:
            text = self._fill(self._rng.choice(phrases.VERBLESS_ASK), BODY=text)
        return Said(text, (), is_verb=False)

    def _coordinate(self) -> str:
        value = self._rng.choice((self._rng.randint(-9, 20), round(self._rng.uniform(-9, 20), 1)))
        return f"{value:g}"

    def _number(self, figures: str) -> str:
        """Say a number in figures or in words."""
        if "." in figures or self._rng.random() < 0.6:
            return figures
        return in_words(int(figures))

    def _fill(self, form: str, **values: str) -> str:
        """Make all choices in a template and put in the values."""
        text = form
        for _ in range(12):
            text = self._chosen(text)
            more = _KEY.sub(lambda key: values.get(key[0], PARTS.get(key[0], key[0])), text)
            if more == text:
                break
            text = more
        return text

    def _chosen(self, text: str) -> str:
        while "(" in text:
            text = _INNER.sub(lambda match: self._rng.choice(match[1].split("|")), text, count=1)
        return text


def _each(key: str, give: Callable[[], str], text: str) -> str:
    """Put a value of its own in each place of a key."""
    return re.sub(rf"\b{key}\b", lambda _: give(), text)
