"""The recorder keeps what could not be handled, within bounds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.nodes.recorder import Recorder
from olympus.runtime.bus.letters import TOPIC
from olympus.runtime.messages.letters import DeadLetter, ForgetLetters
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.store import StreamStore
from olympus.runtime.store.letters import find_letter, forget_letters, read_letters
from olympus.runtime.store.upkeep import forget


def params(folder: Path, **more: Any) -> dict[str, Any]:
    return {"path": str(folder), "topics": ["rover/**"], **more}


def letter(number: int, *, topic: str = "rover/a", size: int = 10) -> DeadLetter:
    payload = np.full(size, number % 256, np.uint8)
    return DeadLetter(
        topic=topic, node="picky", reason="failed", text="no", seq=number, payload=payload
    )


async def finish(bench: Bench[Recorder]) -> None:
    await bench.runner.change(Transition.DEACTIVATE)
    await bench.runner.change(Transition.CLEANUP)


async def test_letters_are_kept_whatever_topics_are_recorded(tmp_path: Path) -> None:
    async with running(Recorder, params=params(tmp_path)) as bench:
        for number in range(3):
            await bench.send(TOPIC, letter(number))
        await finish(bench)
    with StreamStore(tmp_path) as store:
        kept = read_letters(store)
        assert [one.letter.seq for one in kept] == [0, 1, 2]
        assert find_letter(store, kept[1].id).letter.payload.tolist() == [1] * 10
        assert forget_letters(store, [kept[1].id, "00000000"]) == 1
        assert [one.letter.seq for one in read_letters(store)] == [0, 2]


async def test_none_are_kept_when_none_are_wanted(tmp_path: Path) -> None:
    async with running(Recorder, params=params(tmp_path, dead_letters_mb=0)) as bench:
        await bench.send(TOPIC, letter(1))
        await finish(bench)
    with StreamStore(tmp_path, read_only=True) as store:
        assert read_letters(store) == []


async def test_the_oldest_letters_make_room_for_the_newest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(Recorder, params=params(tmp_path, dead_letters_mb=1)) as bench:
        for number in range(40):
            await bench.send(TOPIC, letter(number, size=60_000))
        await finish(bench)
    with StreamStore(tmp_path, read_only=True) as store:
        kept = [one.letter.seq for one in read_letters(store)]
        assert kept == list(range(kept[0], 40))
        assert 0 < len(kept) * 60_000 <= 2**20
        assert store.pruned()[TOPIC].messages == kept[0] > 0
    assert "oldest dead letters" in caplog.text


async def test_a_letter_about_somebody_is_forgotten_with_the_rest(tmp_path: Path) -> None:
    told = params(tmp_path, subjects={"ann": ["rover/microphone"]})
    async with running(Recorder, params=told) as bench:
        await bench.send(TOPIC, letter(1, topic="rover/microphone"))
        await bench.send(TOPIC, letter(2))
        await finish(bench)
    assert forget(tmp_path, "ann") == 1
    with StreamStore(tmp_path, read_only=True) as store:
        assert [one.letter.seq for one in read_letters(store)] == [2]


async def test_a_recorder_forgets_letters_of_its_own_store_alone(tmp_path: Path) -> None:
    async with running(Recorder, params=params(tmp_path)) as bench:
        await bench.send(TOPIC, letter(1))
        await bench.node.clock.sleep(0.05)
        await bench.node.flush()
        elsewhere = ForgetLetters(folder=str(tmp_path / "other"), is_everything=True)
        assert not (await bench.node.on_forget_letters(elsewhere)).ok
        here = ForgetLetters(folder=str(tmp_path.resolve()), is_everything=True)
        assert (await bench.node.on_forget_letters(here)).text == "1 dead letters are forgotten"
        await finish(bench)
