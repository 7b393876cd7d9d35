"""Names of places and things: some to learn from, others kept for the examination."""

from __future__ import annotations

import random
from typing import Final

ROOMS: Final = tuple(
    "lab laboratory kitchen office lobby workshop corridor hallway hall entrance exit reception canteen"
    " cafeteria garage basement attic bathroom bedroom library studio classroom gym foyer lounge balcony terrace"
    " garden yard courtyard storeroom storage archive warehouse depot dock ramp gate bay elevator lift staircase"
    " stairwell cellar pantry closet laundry nursery clinic ward pharmacy mailroom showroom cloakroom"
    " checkpoint station home base start end middle centre corner atrium aisle shelf rack bench desk counter"
    " window door printer copier fridge vault safe shop bakery bar restaurant theatre stage parking driveway"
    " greenhouse barn stable shed tower bridge pier platform track runway hangar chapel court pool sauna spa"
    " kiosk booth ticket cinema museum gallery tank pump boiler sluice quarry mill kiln forge".split()
)
ADJECTIVES: Final = tuple(
    "north south east west main back front upper lower old new red green blue white black big small"
    " central first second third inner outer loading charging meeting server storage waiting dining living changing"
    " conference control engine machine tool paint repair assembly packing shipping cold clean dark quiet staff"
    " visitor emergency service parts spare test training break copy mail print music reading fitting plant boiler"
    " cleaning security press guest family side rear top ground electrical chemical medical delivery goods".split()
)
HEADS: Final = tuple(
    "room hall door gate wing dock station bay corner area zone entrance exit office lab corridor store floor"
    " desk line point shelf cabinet gallery wall window yard platform counter table passage lobby shop".split()
)
THINGS: Final = tuple(
    "box boxes dog dogs cat cats forklift truck cart trolley robot rover chair bin plant ladder bicycle bike drone"
    " backpack bag suitcase parcel package pallet crate barrel bucket fire smoke leak puddle ball toolbox helmet"
    " bird fox rat mouse horse deer car van tractor wheelchair stroller stretcher umbrella laptop phone bottle"
    " marker sign cone barrier flag light lamp rope hose cable spill stain shadow hand face vest guard colleague"
    " doctor nurse worker engineer driver officer cleaner stranger thief guest customer kid boy girl teacher boss"
    " red-box blue-box green-box yellow-box traffic-cone open-door open-window broken-window fire-extinguisher"
    " white-line red-light green-light first-aid-kit pallet-jack".split()
)
SOUNDS: Final = tuple(
    "siren alarm bell buzzer whistle horn bang crash clap knock scream shout voice bark explosion thunder music"
    " footsteps beep gong doorbell telephone ringtone engine motor drip hiss rattle squeak cough laughter"
    " fire-alarm door-bell breaking-glass loud-noise barking crying singing knocking applause gunshot".split()
)
HELD_PLACES: Final = (
    *(
        "observatory",
        "infirmary",
        "refectory",
        "scullery",
        "vestibule",
        "mezzanine",
        "antechamber",
        "orangery",
    ),
    *(
        "paddock",
        "wharf",
        "silo",
        "cloister",
        "rotunda",
        "crypt",
        "dormitory",
        "bunker",
        "veranda",
        "pergola",
    ),
    *(
        "isolation ward",
        "server farm",
        "ballroom",
        "weighing bridge",
        "spinning mill",
        "pump house",
    ),
    *(
        "bicycle cellar",
        "sorting office",
        "tea kitchen",
        "drawing office",
        "ice rink",
        "signal box",
    ),
    *(
        "zone alpha",
        "delta sector",
        "hangar nine",
        "juniper wing",
        "baker street",
        "saint john ward",
    ),
)
"""Real names that training never meets."""
HELD_THINGS: Final = (
    *(
        "hedgehog",
        "scooter",
        "excavator",
        "wheelbarrow",
        "parrot",
        "firefighter",
        "mannequin",
        "tripod",
    ),
    *(
        "snow shovel",
        "gas bottle",
        "hand truck",
        "postman",
        "otter",
        "anvil",
        "violinist",
        "oil drum",
    ),
)
HELD_SOUNDS: Final = (
    "foghorn",
    "hammering",
    "yodelling",
    "kettle",
    "sneeze",
    "rooster",
    "church bell",
    "drum roll",
)

_STARTS = "b br d dr f fl g gr h j k kl l m n p pl r s st t tr v w z sh ch".split()
_VOWELS = "a e i o u ai ea oo".split()
_ENDS = ("", "n", "r", "l", "s", "k", "m", "x", "nd", "rt", "ck")


def place(rng: random.Random) -> str:
    """Make up a place's name: a room, two words, or letters that mean nothing."""
    match rng.randrange(10):
        case 0 | 1 | 2 | 3:
            return rng.choice(ROOMS)
        case 4 | 5 | 6:
            return f"{rng.choice(ADJECTIVES)} {rng.choice(HEADS)}"
        case 7:
            return f"{made_up(rng)} {rng.choice(HEADS)}"
        case _:
            return made_up(rng)


def thing(rng: random.Random) -> str:
    """Make up the name of a thing."""
    return rng.choice(THINGS).replace("-", " ") if rng.random() < 0.75 else made_up(rng)


def sound(rng: random.Random) -> str:
    """Make up the name of a sound."""
    return rng.choice(SOUNDS).replace("-", " ") if rng.random() < 0.8 else made_up(rng)


def made_up(rng: random.Random) -> str:
    """Make up a word of one to three syllables."""
    return "".join(
        rng.choice(_STARTS) + rng.choice(_VOWELS) + rng.choice(_ENDS)
        for _ in range(rng.choice((1, 2, 2, 2, 3)))
    )
