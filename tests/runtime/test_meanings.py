"""What the docstrings below a model's fields say."""

from __future__ import annotations

from pydantic import BaseModel, Field

from olympus.nodes.ros2 import Ros2
from olympus.runtime.meanings import describe, meanings, models


class Wheel(BaseModel):
    """One."""

    radius_m: float
    """From hub
    to ground."""
    name: str = ""


class Cart(BaseModel):
    """Several."""

    wheels: dict[str, list[Wheel] | None] = {}
    """By place."""
    load_kg: float = Field(0.0, description="What it carries.")
    """Not asked for."""


class Barrow(Cart):
    """With handles."""

    handles: int = 2
    """How many."""


def test_each_field_means_what_stands_below_it_in_its_class_or_above() -> None:
    assert meanings(Wheel) == {"radius_m": "From hub\nto ground."}
    assert meanings(Barrow)["wheels"] == "By place."
    assert meanings(Barrow)["handles"] == "How many."


def test_a_model_names_others_however_deep() -> None:
    assert list(models(Barrow)) == [Barrow, Wheel]


def test_a_described_model_tells_it_in_its_schema_and_those_it_names_do() -> None:
    describe(Barrow)
    schema = Barrow.model_json_schema()
    assert schema["properties"]["wheels"]["description"] == "By place."
    assert schema["properties"]["load_kg"]["description"] == "What it carries."
    wheel = schema["$defs"]["Wheel"]["properties"]
    assert wheel["radius_m"]["description"] == "From hub\nto ground."
    assert "description" not in wheel["name"]


def test_the_params_of_the_ros_bridge_tell_what_they_mean() -> None:
    schema = Ros2.Params.model_json_schema()
    assert all("description" in field for field in schema["properties"].values())
    assert "description" in schema["$defs"]["Publish"]["properties"]["topic"]
