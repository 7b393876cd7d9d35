"""Named situations, as data: who is where, who walks where, what happens when."""

from __future__ import annotations

from dataclasses import dataclass

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.sim import floorplan
from olympus.sim.floorplan import plan_building
from olympus.sim.happenings import Event
from olympus.sim.people import Walk, through_door
from olympus.sim.world import Renderer, World


@dataclass(frozen=True, slots=True)
class Scenario:
    """A situation that a world can start in."""

    name: str
    text: str
    """What happens, for people."""
    seed: int = 7
    start: tuple[float, float, float] = floorplan.START_POSE
    people: int = 3
    """How many walk about, if `walks` is None."""
    walks: tuple[Walk, ...] | None = None
    events: tuple[Event, ...] = ()

    def world(
        self,
        *,
        seed: int | None = None,
        people: int | None = None,
        renderer: Renderer = "rays",
    ) -> World:
        """Make the world of this situation.

        Args:
            seed: Another seed than the scenario's own; None keeps it.
            people: Another number of people, if the scenario doesn't say what each does.
            renderer: Of the camera, see World.
        """
        return World(
            self.seed if seed is None else seed,
            people=self.people if people is None else people,
            start=self.start,
            walks=self.walks,
            events=self.events,
            renderer=renderer,
        )


def _crossing(seed: int) -> Walk:
    """Go from the office to the store and back, across the corridor."""
    plan = plan_building(seed)
    north, south = plan.room("office"), plan.room("store")
    there = (*through_door(north, into=False), *through_door(south, into=True))
    return Walk((*there, *there[::-1][1:-1]), speed_mps=0.8, pause_s=2.0, start_after_s=3.0)


_STANDING = Walk(((8.0, 0.9),))
"""Somebody who waits at the side of the corridor."""

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("patrol", "Three people go about their day while the rover patrols."),
        Scenario(
            "person_crosses",
            "One person crosses the corridor in front of the rover, again and again.",
            walks=(_crossing(7),),
        ),
        Scenario(
            "stop_shouted",
            "Somebody at the side shouts 'stop' after 8 s.",
            walks=(_STANDING,),
            events=(Event(8.0, "shout_stop"),),
        ),
        Scenario(
            "iot_alarm",
            "Smoke in the kitchen after 6 s, an alarm after 9 s, clear air after 45 s.",
            people=2,
            events=(
                Event(6.0, "smoke:kitchen"),
                Event(9.0, "alarm"),
                Event(45.0, "smoke_clear:kitchen"),
            ),
        ),
    )
}


def find_scenario(name: str) -> Scenario:
    """Return the scenario of a name.

    Raises:
        ConfigError: There is none.
    """
    if name not in SCENARIOS:
        raise ConfigError(f"no scenario {name!r}; {did_you_mean(name, SCENARIOS)}")
    return SCENARIOS[name]
