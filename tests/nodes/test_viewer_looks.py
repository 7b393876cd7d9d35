"""The two looks of the page: the same names in both, and every ink can be read on every ground."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

PAGE = files("olympus.nodes.viewer") / "page"
SHEET = PAGE.joinpath("style.css").read_text()
INKS = ("text", "soft", "faint", "accent", "ok", "warn", "bad")
SERIES = tuple(f"series-{number}" for number in range(1, 9))
GROUNDS = ("bg", "panel", "raised", "inset", "hover")
LEAST_CONTRAST = 4.5
"""Source: WCAG 2.2, success criterion 1.4.3, text of ordinary size."""


def looks() -> dict[str, dict[str, str]]:
    """Return the colours by name, `#rrggbb`, of each look."""
    dark, light = re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text)) for text in (dark, light)]
    return {"dark": found[0], "light": found[0] | found[1]}


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, 0..1. Source: WCAG 2.2."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1..21. Source: WCAG 2.2."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("look", ["dark", "light"])
def test_every_ink_can_be_read_on_every_ground(look: str) -> None:
    colours = looks()[look]
    weak = {
        (ink, ground): round(contrast(colours[ink], colours[ground]), 2)
        for ink in (*INKS, *SERIES)
        for ground in GROUNDS
        if contrast(colours[ink], colours[ground]) < LEAST_CONTRAST
    }
    assert weak == {}


def test_the_light_look_has_a_colour_of_its_own_for_all_but_the_stop() -> None:
    dark, light = looks().values()
    assert {name for name in dark if dark[name] == light[name]} == {"stop"}


def test_no_colour_that_depends_on_the_look_stands_anywhere_else() -> None:
    """The stop button alone looks the same in both."""
    body = SHEET[SHEET.index("* { box-sizing") :]
    rules = [line for line in body.splitlines() if re.search(r"#[0-9a-f]{3,8}\b", line)]
    stop = [line for line in rules if "gradient" in line or "inset" in line or "--stop" in line]
    assert rules == stop
    for script in PAGE.joinpath("js").iterdir():
        assert not re.search(r'"#[0-9a-f]{3,8}"', script.read_text()), script.name
