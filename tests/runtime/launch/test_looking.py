"""What node classes say about a launch."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from olympus.runtime.errors import ModelError
from olympus.runtime.launch.findings import Finding
from olympus.runtime.launch.looking import Question, look_at
from olympus.runtime.messages import Image, Percept
from olympus.runtime.node import Node, NodeParams, output, subscribe
from olympus.runtime.node.loading import look_beside


class Watcher(Node):
    """Looks at pictures."""

    class Params(NodeParams):
        """How it looks."""

        side_px: int = Field(96, ge=32, le=640, description="Side of the square.")

    percepts = output("percepts", Percept)

    @classmethod
    def models_kept(cls, params: Params) -> list[str]:
        """Keep one for each size."""
        return [f"eye-{params.side_px}"]

    @subscribe("camera/image")
    def on_image(self, image: Image) -> None:
        """Look."""


class Screen(Node):
    """Shows topics that its params name."""

    class Params(NodeParams):
        """Which ones."""

        battery: str = Field("battery", description="Topic of the battery.")
        topics: list[str] = Field([], description="More topics.")


class Reader(Node):
    """Needs a book, and would like a lamp."""

    class Params(NodeParams):
        """Which book."""

        book: str = Field("atlas", description="Its name.")

        def before_start(self) -> list[str]:
            if self.book == "torn":
                raise ValueError("a page is missing")
            if self.book != "atlas":
                raise ModelError(f"book {self.book!r} is not known; known: atlas")
            return ["there is no lamp"]


USES = f"{__name__}:Watcher"


def question(**params: int) -> Question:
    return Question(
        id="watcher",
        uses=USES,
        where="robot.yaml:7",
        namespace="rover",
        params=dict(params),
        remaps={"camera/image": "rear/image", "camra": "x"},
    )


def test_a_class_tells_its_params_and_topics_as_the_launch_names_them() -> None:
    finding = look_at(question())
    assert finding.problem == ""
    assert finding.params == {"side_px": 96}
    assert finding.models == ["eye-96"]
    assert finding.inputs == {"rover/rear/image": "Image"}
    assert finding.outputs == {"rover/percepts": "Percept"}
    assert finding.notes == [
        "robot.yaml:7: node 'watcher' has no topic 'camra' to remap; known: camera/image, percepts"
    ]


def test_a_param_out_of_range_names_line_node_param_and_meaning() -> None:
    problem = look_at(question(side_px=7)).problem
    assert problem.startswith("robot.yaml:7: watcher.side_px: 7")
    assert "Side of the square." in problem


def test_a_module_that_is_not_there_is_a_problem() -> None:
    missing = question().model_copy(update={"uses": "no.such.module"})
    assert "no.such.module" in look_at(missing).problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class X(\n", "SyntaxError: '(' was never closed"),
        ("LIMIT = 1 / 0\n", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_breaks_is_a_problem_with_its_line(
    text: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / f"broken_{len(text)}.py"
    file.write_text(text)
    look_beside(tmp_path)
    problem = look_at(question().model_copy(update={"uses": f"{file.stem}:X"})).problem
    assert f"importing it fails: {told} ({file}:1)" in problem


def test_topics_that_params_name_are_found_with_and_without_namespace() -> None:
    viewer = Question(
        id="viewer",
        uses=f"{__name__}:Screen",
        where="robot.yaml:9",
        namespace="rover",
        params={"topics": ["lab/count", "not a topic!"]},
        remaps={},
    )
    named = look_at(viewer).named
    assert {"rover/battery", "lab/count"} <= set(named)
    assert not any("!" in name for name in named)


def read(book: str) -> Finding:
    return look_at(
        Question(
            id="reader",
            uses=f"{__name__}:Reader",
            where="robot.yaml:9",
            namespace="",
            params={"book": book},
            remaps={},
        )
    )


def test_what_params_name_is_looked_for_before_anything_starts() -> None:
    assert read("atlas").notes == ["robot.yaml:9: reader: there is no lamp"]
    assert read("bible").problem == "robot.yaml:9: reader: book 'bible' is not known; known: atlas"
    assert "before_start fails: ValueError: a page is missing (" in read("torn").problem
