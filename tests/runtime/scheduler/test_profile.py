from __future__ import annotations

from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.scheduler.profile import read_profiles

EYE = "board: toy\nmodels: {eye: {n: 200, p50_ms: 1, p99_ms: 2, worst_ms: 3}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (EYE.replace("worst_ms: 3", "worst_ms: .inf"), "models.eye.worst_ms: .*finite"),
        (EYE.replace("worst_ms: 3", "worst_ms: 1.0e+305"), "models.eye.worst_ms: .*less than"),
        (EYE.replace("p50_ms: 1", "p50_ms: .nan"), "models.eye.p50_ms"),
        (EYE.replace("p99_ms: 2", "p99_ms: 9"), "rising order"),
        (EYE.replace("board: toy", "bord: toy"), "board: Field required"),
        ("", "the file: "),
        (EYE[:50], "expected ',' or '}'"),
        ("board: toy\nmodels: " + "[" * 5000, "nested too deeply"),
    ],
)
def test_a_damaged_profile_is_refused_by_file_and_field(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"toy\.yaml: is no profile file: (.|\n)*{said}"):
        read_profiles(file)


def test_a_profile_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match=r"larger than 4 MiB"):
        read_profiles(Path("/dev/zero"))
