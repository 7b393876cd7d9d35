from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from olympus.models.audio_features import log_mel
from olympus.models.onnx import OnnxModel, open_model
from olympus.models.sound_events import Decider, Heard, Rules
from olympus.models.training.sound_data import HELD_OUT_SEED, LABELS, Plan, make_set
from olympus.models.training.sound_evaluate import Score, features_of, score
from olympus.runtime.errors import ConfigError
from olympus.sim import sounds

RULES = Rules(min_confidence=0.7, looks=2, refractory_s=1.5)
S = 1_000_000_000


def sure_of(label: str, chance: float = 0.95) -> NDArray[np.float32]:
    """Make probabilities: `chance` for one label, the rest for the background."""
    out = np.zeros(len(LABELS), np.float32)
    out[0] = 1 - chance
    out[LABELS.index(label)] += chance
    return out


def test_one_look_is_not_enough() -> None:
    decider = Decider(LABELS)
    assert decider.decide(sure_of("stop"), 0, RULES) is None
    heard = decider.decide(sure_of("stop"), S // 10, RULES)
    assert heard == Heard("stop", float(np.float32(0.95)))


def test_a_sound_in_view_for_a_second_is_one_event() -> None:
    decider = Decider(LABELS)
    heard = [decider.decide(sure_of("stop"), i * S // 10, RULES) for i in range(10)]
    assert [h.label for h in heard if h] == ["stop"]


def test_a_siren_that_goes_on_is_reported_again() -> None:
    decider = Decider(LABELS)
    heard = [decider.decide(sure_of("siren"), i * S // 10, RULES) for i in range(50)]
    assert sum(h is not None for h in heard) == 4


def test_another_label_need_not_wait() -> None:
    decider = Decider(LABELS)
    views = [sure_of("siren")] * 3 + [sure_of("stop")] * 3
    heard = [decider.decide(view, i * S // 10, RULES) for i, view in enumerate(views)]
    assert [h.label for h in heard if h] == ["siren", "stop"]


def test_other_speech_waits_longer_and_keeps_quiet_beside_a_command() -> None:
    decider = Decider(LABELS)
    views = [sure_of("speech_other")] * 3 + [sure_of("stop")] * 3 + [sure_of("speech_other")] * 6
    heard = [decider.decide(view, i * S // 10, RULES) for i, view in enumerate(views)]
    assert [h.label for h in heard if h] == ["stop"]
    later = [decider.decide(sure_of("speech_other"), 3 * S, RULES) for _ in range(3)]
    assert [h.label for h in later if h] == ["speech_other"]


def test_background_and_doubt_are_no_event() -> None:
    decider = Decider(LABELS)
    views = [sure_of("background", 1.0)] * 5 + [sure_of("stop", 0.6)] * 5
    assert [decider.decide(v, i * S // 10, RULES) for i, v in enumerate(views)] == [None] * 10


def test_after_a_gap_looks_are_collected_anew() -> None:
    decider = Decider(LABELS)
    decider.decide(sure_of("stop"), 0, RULES)
    decider.reset()
    assert decider.decide(sure_of("stop"), S // 10, RULES) is None


def test_no_looks_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="looks=0"):
        Rules(looks=0)


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return open_model("sound-events")


@pytest.fixture(scope="module")
def held_out(model: OnnxModel) -> Score:
    """Score the shipped model on voices and events it was not trained on, without espeak."""
    plan = Plan(
        espeak_per_command=0,
        espeak_other=0,
        formant_per_command=25,
        formant_other=82,
        per_event=6,
        examples={**dict.fromkeys(LABELS, 20), "speech_other": 80, "stop": 60, "help": 40},
    )
    waves, labels = make_set(plan, held_out=True, voices="formant", seed=77)

    def listen(features: NDArray[np.float32]) -> NDArray[np.float32]:
        return model.run({"log_mel": features})["probabilities"].astype(np.float32)

    return score(listen, features_of(waves), labels)


def test_the_shipped_model_knows_the_labels_of_its_recipe(model: OnnxModel) -> None:
    assert model.manifest.labels == LABELS
    assert model.manifest.limits and model.manifest.recipe


def test_the_shipped_model_hears_held_out_voices(held_out: Score) -> None:
    assert held_out.n == 320
    assert held_out.accuracy > 0.92
    assert held_out.recall["stop"] > 0.93
    assert min(held_out.recall.values()) > 0.8
    assert held_out.false_stop < 0.03


def test_the_small_file_is_as_good_as_the_float_one(model: OnnxModel) -> None:
    for entry in model.manifest.accuracy:
        if entry.metric.startswith("accuracy."):
            assert entry.float_value is not None
            assert entry.value > entry.float_value - 0.01


@pytest.mark.parametrize("label", ["stop", "go", "help", "siren", "crash", "clap", "alarm"])
def test_a_clear_sound_is_recognised(model: OnnxModel, label: str) -> None:
    hits = 0
    for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + 20):
        scene = sounds.background(16000, seed=seed, level_dbfs=-50)
        sound = 0.5 * sounds.synthesize(label, seed=seed)[:14000]
        scene[2000 : 2000 + len(sound)] += sound
        found = model.run({"log_mel": log_mel(scene)[None]})["probabilities"][0]
        hits += LABELS[int(found.argmax())] == label
    assert hits >= 18


def test_silence_and_a_quiet_room_are_background(model: OnnxModel) -> None:
    rooms = [np.zeros(16000, np.float32)]
    rooms += [sounds.background(16000, seed=s, level_dbfs=-60 + 5 * s) for s in range(8)]
    for room in rooms:
        found = model.run({"log_mel": log_mel(room)[None]})["probabilities"][0]
        assert LABELS[int(found.argmax())] == "background"
