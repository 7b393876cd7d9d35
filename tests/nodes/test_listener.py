from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from olympus.models.registry import Registry
from olympus.models.training.sound_data import HELD_OUT_SEED
from olympus.nodes.listener import Listener, frames_of
from olympus.runtime.errors import ModelError, ParamError
from olympus.runtime.messages import AudioChunk, Header, SoundEvent
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.qos import Tier
from olympus.sim import sounds

RATE = 16000
BLOCK = 1600
START_NS = 1_700_000_000_000_000_000
MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media"
Samples = NDArray[np.float32]


def whole(samples: Samples) -> NDArray[np.int16]:
    return (np.clip(samples, -1, 1) * 32767).astype(np.int16)


def chunk(samples: NDArray[np.int16], position: int, *, rate_hz: int = RATE) -> AudioChunk:
    stamp = START_NS + position * 1_000_000_000 // RATE
    return AudioChunk(header=Header(stamp=stamp), samples=samples, rate_hz=rate_hz)


async def play(bench: Bench[Listener], samples: NDArray[np.int16], *, since: int = 0) -> None:
    """Send sound in blocks of 100 ms, each when the one before has been taken."""
    for start in range(0, len(samples) - BLOCK + 1, BLOCK):
        wanted = bench.node.samples_heard + BLOCK
        await bench.send("microphone/audio", chunk(samples[start : start + BLOCK], since + start))
        async with asyncio.timeout(20):
            while bench.node.samples_heard < wanted:
                await asyncio.sleep(0)


def events(bench: Bench[Listener]) -> list[SoundEvent]:
    """Take everything published so far."""
    queue = bench.watch("sound_events")
    found = []
    while not queue.empty():
        event = queue.get_nowait()
        assert isinstance(event, SoundEvent)
        found.append(event)
    return found


def room(seconds: float, seed: int, level_dbfs: float = -46.0) -> Samples:
    return sounds.background(int(seconds * RATE), seed=seed, level_dbfs=level_dbfs)


@pytest.mark.parametrize("seed", range(6))
async def test_a_stop_in_ten_seconds_of_noise_is_heard_once_and_soon(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = room(10, seed)
    word = rng.uniform(0.2, 0.9) * sounds.speak("stop", seed=HELD_OUT_SEED + 500 + seed)
    start = int(rng.uniform(1.2 * RATE, len(scene) - len(word) - RATE))
    scene[start : start + len(word)] += word
    async with running(Listener) as bench:
        await play(bench, whole(scene))
        heard = [event for event in events(bench) if event.label != "speech_other"]
    assert [event.label for event in heard] == ["stop"]
    event, end_ns = heard[0], START_NS + (start + len(word)) * 1_000_000_000 // RATE
    assert event.header.stamp + 100_000_000 - end_ns < 500_000_000
    assert event.header.tier is Tier.CRITICAL
    assert event.confidence >= 0.7 and -50 < event.level_dbfs < 0
    assert event.model.startswith("sound-events ")
    assert event.header.trace[0].topic == "microphone/audio"


async def test_a_minute_of_noise_and_other_words_is_no_stop() -> None:
    rng = np.random.default_rng(10)
    scene, position, said = room(60, 100), RATE, 0
    others = sounds.WORDS[3:]
    while position < len(scene) - 3 * RATE:
        word = sounds.speak(str(rng.choice(others)), seed=HELD_OUT_SEED + 900 + said)
        scene[position : position + len(word)] += rng.uniform(0.1, 0.9) * word
        position += len(word) + int(rng.uniform(0.3, 1.5) * RATE)
        said += 1
    async with running(Listener) as bench:
        await play(bench, whole(scene))
        heard = [event.label for event in events(bench)]
    assert said > 25
    assert "stop" not in heard
    assert heard.count("speech_other") > said // 4


async def test_a_quiet_room_publishes_nothing() -> None:
    async with running(Listener) as bench:
        await play(bench, whole(room(20, 3)))
        assert events(bench) == []
    async with running(Listener) as bench:
        await play(bench, np.zeros(3 * RATE, np.int16))
        assert events(bench) == []


@pytest.mark.parametrize("label", ["siren", "crash", "clap", "glass", "alarm"])
async def test_events_are_heard(label: str) -> None:
    scene = room(4, 7)
    sound = 0.6 * sounds.synthesize(label, seed=HELD_OUT_SEED + 40)
    scene[int(1.3 * RATE) : int(1.3 * RATE) + len(sound)] += sound
    async with running(Listener) as bench:
        await play(bench, whole(scene))
        assert label in [event.label for event in events(bench)]


async def test_a_gap_makes_it_listen_anew_and_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    word = whole(0.7 * sounds.speak("stop", seed=HELD_OUT_SEED + 500))
    scene = whole(room(3, 5))
    scene[2 * RATE : 2 * RATE + len(word)] += word
    async with running(Listener) as bench:
        for i, start in enumerate(range(0, len(scene) - BLOCK + 1, BLOCK)):
            seq = 1 + i + (4 if start >= 2 * RATE + len(word) // 2 else 0)
            header = Header(seq=seq, stamp=START_NS + start * 1_000_000_000 // RATE)
            piece = AudioChunk(header=header, samples=scene[start : start + BLOCK])
            await bench.node.on_audio(piece)
        assert bench.node.gaps == 1
        assert [e.label for e in events(bench) if e.label == "stop"] == []
    assert "sound is missing" in caplog.text


async def test_a_wrong_rate_is_refused_once_with_a_remedy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Listener) as bench:
        for position in range(3):
            await bench.node.on_audio(
                chunk(np.zeros(4800, np.int16), position * 4800, rate_hz=48000)
            )
        assert bench.node.samples_heard == 0
    assert caplog.text.count("set the microphone to 16000 Hz") == 1


async def test_blocks_of_any_size_are_heard_alike() -> None:
    scene = room(4, 9)
    word = 0.6 * sounds.speak("stop", seed=HELD_OUT_SEED + 500)
    scene[2 * RATE : 2 * RATE + len(word)] += word
    found = []
    for size in (BLOCK, 441, 5000):
        async with running(Listener) as bench:
            for i, start in enumerate(range(0, len(scene), size)):
                header = Header(seq=1 + i, stamp=START_NS + start * 1_000_000_000 // RATE)
                piece = AudioChunk(header=header, samples=whole(scene[start : start + size]))
                await bench.node.on_audio(piece)
            found.append([(e.label, round(e.confidence, 4)) for e in events(bench)])
    assert found[0] and found[0] == found[1] == found[2]


async def test_rules_change_while_it_listens_but_the_model_does_not() -> None:
    async with running(Listener) as bench:
        assert bench.runner.set_params({"min_confidence": 0.9}) == {"min_confidence"}
        with pytest.raises(ParamError, match="can't change"):
            bench.runner.set_params({"model": "another"})
        assert bench.node.params.model == "sound-events"


async def test_a_model_that_takes_pictures_is_refused() -> None:
    with pytest.raises(ModelError, match="no sound model"):
        async with running(Listener, params={"model": "person-obstacle"}):
            pass


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ("background", "stop")},  # the others were answered with an IndexError each
        {"labels": tuple(f"l{i}" for i in range(10))},
        {"task": "detect", "outputs": ()},
    ],
)
def test_a_model_that_could_only_fail_is_refused_before_the_start(changes: dict[str, Any]) -> None:
    manifest = Registry().find("sound-events").manifest
    with pytest.raises(ModelError, match="no sound model for the listener"):
        frames_of(manifest.model_copy(update=changes))
    assert frames_of(manifest) > 0
    with pytest.raises(ModelError, match="no sound model for the listener"):
        Listener.Params.model_validate({"model": "person-obstacle"}).before_start()


@pytest.mark.skipif(not MEDIA.is_dir(), reason="there is no recorded media in ../shared/media")
async def test_recorded_music_and_speech_are_no_stop_and_no_siren() -> None:
    with wave.open(str(MEDIA / "wakeword-easy-10s.wav")) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        mono = data.reshape(-1, file.getnchannels()).mean(axis=1).astype(np.int16)
    async with running(Listener) as bench:
        await play(bench, mono)
        heard = [event.label for event in events(bench)]
    assert "stop" not in heard
    assert heard.count("siren") <= 1
