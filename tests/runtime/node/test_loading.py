"""What a launch file names as a node is imported, and what is missing is named with the way out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.node.loading import load_node_class, look_beside


@pytest.fixture
def orchard(tmp_path: Path) -> Iterator[Path]:
    """A package of a user's own beside the launch file."""
    package = tmp_path / "orchard_of_tests"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "picker.py").write_text("from olympus.runtime.mesages import Twist\n")
    (package / "sorter.py").write_text("import conveyor_of_nobody\n")
    path, modules = [*sys.path], {*sys.modules}
    look_beside(tmp_path)
    yield package
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("uses", "told"),
    [
        (
            "orchard_of_tests.piker",
            "there is no module 'orchard_of_tests.piker'; did you mean 'picker'",
        ),
        (
            "orchard_of_tests.picker",
            "picker.py:1 imports 'olympus.runtime.mesages', and there is no such module; "
            "did you mean 'messages'",
        ),
        (
            "orchard_of_tests.sorter",
            "sorter.py:1 needs 'conveyor_of_nobody', which is not installed",
        ),
        ("garden_of_nobody", "there is no module 'garden_of_nobody'"),
    ],
)
def test_a_module_that_is_missing_is_named_with_who_asks_for_it(
    orchard: Path, uses: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_node_class(uses)
    assert told in str(caught.value)
