"""A made-up site: which names it knows, and which it does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from olympus.models.planner.words import SOUNDS, THINGS, Mask, Vocabulary
from olympus.models.training.commands import names


class Names:
    """A made-up site: which names it knows, and which it does not."""

    def __init__(self, rng: random.Random, *, unseen: bool, unknown: float) -> None:
        """Draw a site.

        Args:
            rng: Where chance comes from.
            unseen: Use only names that training never meets.
            unknown: Share of names that the site does not know.
        """
        self._rng, self._unseen, self._unknown = rng, unseen, unknown
        places = {self._place() for _ in range(rng.randint(3, 10))}
        if rng.random() < 0.5 and not unseen:
            places |= set(rng.sample(("start", "end", "home", "middle", "corridor"), 3))
        things = dict(THINGS) if rng.random() < 0.8 else {}
        things |= {self._thing(): () for _ in range(rng.randint(1, 5))}
        sounds = dict(SOUNDS) if rng.random() < 0.8 else {}
        sounds |= {self._sound(): () for _ in range(rng.randint(1, 3))}
        self.vocabulary = Vocabulary(dict.fromkeys(sorted(places), ()), things, sounds)
        self.mask = Mask(self.vocabulary)

    def place(self) -> str:
        """Choose a place's name."""
        return self._known(self.vocabulary.places, self._place)

    def thing(self) -> str:
        """Choose a thing's name."""
        return self._known(self.vocabulary.things, self._thing)

    def sound(self) -> str:
        """Choose a sound's name."""
        return self._known(self.vocabulary.sounds, self._sound)

    def said(self, name: str) -> str:
        """Choose one of the words for a name."""
        others = self.vocabulary.things.get(name) or self.vocabulary.sounds.get(name) or ()
        return self._rng.choice((name, *others))

    def _known(self, known: Mapping[str, object], other: Callable[[], str]) -> str:
        if self._rng.random() < self._unknown:
            return other()
        return self._rng.choice(sorted(known))

    def _place(self) -> str:
        return self._rng.choice(names.HELD_PLACES) if self._unseen else names.place(self._rng)

    def _thing(self) -> str:
        return self._rng.choice(names.HELD_THINGS) if self._unseen else names.thing(self._rng)

    def _sound(self) -> str:
        return self._rng.choice(names.HELD_SOUNDS) if self._unseen else names.sound(self._rng)
