from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.drivers.source import parse_source, require_positive, without_secret
from olympus.runtime.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "scheme", "location"),
    [
        ("sim://front", "sim", "front"),
        ("/dev/video0", "v4l2", "/dev/video0"),
        ("v4l2:///dev/video2", "v4l2", "/dev/video2"),
        (3, "v4l2", "/dev/video3"),
        ("0", "v4l2", "/dev/video0"),
        ("csi://0", "csi", "0"),
        ("gst:videotestsrc ! appsink", "gst", "videotestsrc ! appsink"),
        ("clip.mp4", "file", "clip.mp4"),
        ("../media/clip.mp4", "file", "../media/clip.mp4"),
        ("file:///tmp/clip.mp4", "file", "/tmp/clip.mp4"),
        ("rtsp://host/cam?channel=1", "rtsp", "rtsp://host/cam?channel=1"),
        ("portaudio://default", "portaudio", "default"),
    ],
)
def test_a_source_is_taken_apart(text: str | int, scheme: str, location: str) -> None:
    source = parse_source(text)
    assert (source.scheme, source.location, source.options) == (scheme, location, {})


def test_options_become_typed_values() -> None:
    source = parse_source("clip.mp4?loop=true&fps=7.5&width=160&note=x")
    assert source.location == "clip.mp4"
    assert source.options == {"loop": True, "fps": 7.5, "width": 160, "note": "x"}


def test_a_file_whose_name_holds_a_question_mark_is_found(tmp_path: Path) -> None:
    odd = tmp_path / "what?.mp4"
    odd.touch()
    assert parse_source(str(odd)).location == str(odd)


def test_an_empty_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        parse_source("  ")


def test_a_password_is_never_shown() -> None:
    source = parse_source("rtsp://anna:geheim@10.0.0.7/cam")
    assert "geheim" not in source.text
    assert "geheim" in source.location
    assert without_secret("mqtts://u:p@host:8883") == "mqtts://***@host:8883"


@given(st.text(min_size=1).filter(str.strip))
def test_any_text_gives_a_source_and_no_surprise(text: str) -> None:
    assert parse_source(text).scheme


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "abc", True])
def test_what_is_no_positive_number_is_refused(value: float | str) -> None:
    with pytest.raises(ConfigError, match="fps="):
        require_positive(fps=value)
