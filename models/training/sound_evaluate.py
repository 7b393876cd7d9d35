"""Measures the sound model on voices and events it has never heard."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olympus.models.audio_features import BANDS, FRAMES, log_mel
from olympus.models.manifest import Latency
from olympus.models.training.sound_data import LABELS

Features = NDArray[np.float32]
Listen = Callable[[Features], NDArray[np.float32]]
"""From (1, 98, 40) log-mel frames to (1, labels) probabilities."""
STOP = LABELS.index("stop")


@dataclass(frozen=True, slots=True)
class Score:
    """How well a model did on n seconds of sound."""

    n: int
    accuracy: float
    recall: dict[str, float]
    """Label to the share of its examples that were recognised."""
    count: dict[str, int]
    """Label to the number of its examples."""
    false_stop: float
    """Share of all other examples that were taken for a stop."""
    false_stop_sure: float
    """The same, counted only at 0.8 probability or more."""
    stop_sure: float
    """Share of the stops recognised at 0.8 probability or more."""


def features_of(waves: NDArray[np.int16]) -> Features:
    """Compute the frames of many seconds: (n, 16000) to (n, 98, 40)."""
    return np.stack([log_mel(wave) for wave in waves])


def score(listen: Listen, features: Features, labels: NDArray[np.int64]) -> Score:
    """Compare what a model hears with the truth.

    Args:
        listen: The model.
        features: (n, 98, 40) log-mel frames.
        labels: (n,) indices in `LABELS`.
    """
    chances = np.concatenate([listen(one[np.newaxis]) for one in features])
    best, is_stop = chances.argmax(axis=1), labels == STOP
    sure = chances[:, STOP] >= 0.8
    return Score(
        n=len(labels),
        accuracy=float(np.mean(best == labels)),
        recall={name: float(np.mean(best[labels == i] == i)) for i, name in enumerate(LABELS)},
        count={name: int(np.sum(labels == i)) for i, name in enumerate(LABELS)},
        false_stop=float(np.mean(best[~is_stop] == STOP)),
        false_stop_sure=float(np.mean(sure[~is_stop])),
        stop_sure=float(np.mean(sure[is_stop])),
    )


def time_runs(listen: Listen, board: str, runs: int = 5000) -> Latency:
    """Time single runs, in milliseconds of wall time."""
    features = np.zeros((1, FRAMES, BANDS), np.float32)
    spans = []
    for _ in range(runs):
        started = time.perf_counter_ns()
        listen(features)
        spans.append((time.perf_counter_ns() - started) / 1e6)
    return Latency(
        board=board,
        p50_ms=round(float(np.median(spans)), 3),
        p99_ms=round(float(np.quantile(spans, 0.99)), 3),
        worst_ms=round(max(spans), 3),
        n=runs,
    )
