import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest

from olympus.nodes.microphone import Microphone
from olympus.runtime.errors import ConfigError, ParamError
from olympus.runtime.messages import AudioChunk, Diagnostic
from olympus.runtime.node.testing import Bench, running

MEDIA = Path(__file__).resolve().parents[2] / "../shared/media"


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Half a second at 22.05 kHz."""
    path = tmp_path / "tone.wav"
    samples = (9000 * np.sin(np.arange(11025) * 0.1)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(samples.tobytes())
    return path


async def hear(bench: Bench[Microphone]) -> AudioChunk:
    message = await bench.receive("microphone/audio")
    assert isinstance(message, AudioChunk)
    return message


async def told(bench: Bench[Microphone], text: str) -> Diagnostic:
    """Wait for a diagnostic that says `text`."""
    async with asyncio.timeout(10):
        while True:
            message = await bench.receive("diagnostics", timeout_s=10)
            assert isinstance(message, Diagnostic)
            if text in message.text:
                return message


async def test_sound_comes_in_blocks_that_follow_each_other(tone: Path) -> None:
    params = {"source": f"{tone}?loop=true", "max_age_ms": 1000}
    async with running(Microphone, params=params) as bench:
        chunks = [await hear(bench) for _ in range(8)]
    assert {chunk.samples.shape for chunk in chunks} == {(1600,)}
    assert {chunk.rate_hz for chunk in chunks} == {16_000}
    stamps = [chunk.header.stamp for chunk in chunks]
    assert set(np.diff(stamps).tolist()) == {100_000_000}
    assert [chunk.header.seq for chunk in chunks] == list(range(1, 9))
    assert chunks[0].header.expires - chunks[0].header.stamp == 1_000_000_000


async def test_the_end_of_a_recording_is_told(tone: Path) -> None:
    async with running(Microphone, params={"source": str(tone)}) as bench:
        news = await told(bench, "come to its end")
        assert (news.level, news.name) == ("stale", "microphone/device")
        assert bench.crashes == []


async def test_a_missing_microphone_is_told_and_tried_again(tmp_path: Path, tone: Path) -> None:
    params = {"source": str(tmp_path / "late.wav"), "retry_first_s": 0.02, "retry_most_s": 0.05}
    async with running(Microphone, params=params) as bench:
        news = await told(bench, "there is no sound file")
        assert news.level == "error"
        tone.rename(tmp_path / "late.wav")
        assert len((await hear(bench)).samples) == 1600


async def test_another_source_is_taken_and_a_wrong_one_refused(tmp_path: Path, tone: Path) -> None:
    async with running(Microphone, params={"source": str(tmp_path / "none.wav")}) as bench:
        with pytest.raises(ParamError, match=r"known: .*portaudio"):
            bench.runner.set_params({"source": "warp://x"})
        bench.runner.set_params({"source": str(tone)})
        await hear(bench)


async def test_a_wrong_source_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="known:"):
        async with running(Microphone, params={"source": "warp://x"}):
            pass


@pytest.mark.skipif(not MEDIA.exists(), reason="recorded media are not on this machine")
async def test_a_recorded_real_word_is_published() -> None:
    async with running(Microphone, params={"source": str(MEDIA / "marvin.wav")}) as bench:
        chunks = [await hear(bench) for _ in range(5)]
    assert max(int(np.abs(chunk.samples).max()) for chunk in chunks) > 500
