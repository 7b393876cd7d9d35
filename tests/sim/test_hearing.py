"""What the rover's microphone hears."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from olympus.sim.hearing import BLOCK, Ear
from olympus.sim.people import Walk
from olympus.sim.world import World


def loudness(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(samples / 32768.0))))


def hear(world: World, blocks: int) -> list[NDArray[np.int16]]:
    ear, heard = Ear(world), []
    first = -(-world.time_ns // 100_000_000)
    for index in range(first, first + blocks):
        while world.time_ns < (index + 1) * 100_000_000:
            world.tick()
        heard.append(ear.block(index))
    return heard


def test_silence_is_quiet_but_not_dead() -> None:
    blocks = hear(World(0, people=0), 5)
    assert all(block.dtype == np.int16 and len(block) == BLOCK for block in blocks)
    assert 0.001 < loudness(np.concatenate(blocks)) < 0.01


def test_a_siren_is_louder_than_the_room_and_ends() -> None:
    world = World(0, people=0)
    world.happen("siren")
    blocks = hear(world, 120)
    assert max(map(loudness, blocks)) > 0.03
    assert loudness(blocks[-1]) < 0.01


def test_a_near_word_is_louder_than_a_far_one() -> None:
    levels = []
    for x in (3.0, 12.0):
        world = World(0, people=0)
        world.happenings.make_sound("stop", 0, (x, 0.0))
        levels.append(max(map(loudness, hear(world, 15))))
    assert levels[0] > 3 * levels[1]


def test_a_far_sound_comes_later() -> None:
    world = World(0, people=0)
    world.place_rover(1.0, 0.0, 0.0)
    world.happenings.make_sound("clap", 0, (17.0, 0.0))
    quiet = World(0, people=0)
    quiet.place_rover(1.0, 0.0, 0.0)
    difference = Ear(world).block(0).astype(int) - Ear(quiet).block(0).astype(int)
    first = int(np.flatnonzero(difference)[0]) / 16_000
    assert first > 16.0 / 343.0


def test_a_word_comes_from_somebody_near_or_from_close_by() -> None:
    near, far = World(0, walks=(Walk(((4.0, 0.5),)),)), World(0, walks=(Walk(((15.0, 0.5),)),))
    for world in (near, far):
        world.happen("shout_stop")
    (said,), (called,) = near.happenings.sounds, far.happenings.sounds
    assert (said.x, said.y) == (4.0, 0.5)
    assert math.dist((called.x, called.y), (1.5, 0.0)) == pytest.approx(3.0)


def test_moving_motors_are_heard() -> None:
    still, moving = World(0, people=0), World(0, people=0)
    moving.command(10.0, 10.0)
    assert loudness(hear(moving, 10)[-1]) > loudness(hear(still, 10)[-1])


def test_a_dead_microphone_gives_zeros() -> None:
    world = World(0, people=0)
    world.faults.microphone_dead = True
    assert not np.concatenate(hear(world, 3)).any()


def test_the_same_seed_sounds_the_same() -> None:
    def run() -> bytes:
        world = World(2)
        world.happen("shout_help")
        return np.concatenate(hear(world, 20)).tobytes()

    assert run() == run()
