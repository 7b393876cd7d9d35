"""The house itself: links, arrows, one copy of each module, and what no file may contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from olympus.runtime.node.lint import varying

ROOT = Path(__file__).resolve().parent.parent
WINGS = ("runtime", "hardware", "models", "drivers", "sim", "nodes")
LOCK = ROOT / "setup" / "requirements.txt"
LONGEST_MODULE = 350
PEERS = ROOT / "tests" / "bench" / "peers"
"""Run in environments of their own; tests/bench/_bus_peers.py pins what is in those."""
ROS_ROBOTS = {
    ROOT / "tests" / "runtime" / "bus" / "ros2" / f"_{name}_robot.py" for name in ("rclpy", "dora")
}
"""Run where a ROS 2 and dora are installed, by `./run ros2`."""


def house_files(suffix: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", f"*{suffix}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listing.stdout.split("\n") if name and (path := ROOT / name).is_file()]


def modules() -> list[Path]:
    return [path for path in house_files(".py") if path.relative_to(ROOT).parts[0] in WINGS]


@pytest.mark.parametrize("name", [*WINGS, "launch"])
def test_a_link_leads_to_its_wing(name: str) -> None:
    link = ROOT / "src" / "olympus" / name
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT / name


@pytest.mark.parametrize("name", WINGS)
def test_a_wing_is_a_package_with_a_readme(name: str) -> None:
    assert (ROOT / name / "__init__.py").is_file()
    assert (ROOT / name / "README.md").is_file()


def test_launch_holds_files_and_is_no_package() -> None:
    assert not (ROOT / "launch" / "__init__.py").exists()


def test_no_wing_has_a_bare_name_on_the_path() -> None:
    found = run_python(
        f"import importlib.util as u; print([n for n in {WINGS!r} if u.find_spec(n)])"
    )
    assert found.stdout.strip() == "[]"


def test_a_second_copy_of_runtime_is_refused() -> None:
    result = run_python(f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runtime")
    assert result.returncode != 0
    assert "import it as 'olympus.runtime'" in result.stderr


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)


def test_every_arrow_points_down() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run(
        [str(lint), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_nothing_that_thinks_hangs_on_anything_but_its_messages_and_its_clock() -> None:
    thinks = ("nodes", "models", "runtime/agents", "runtime/scheduler/choice.py")
    found = [
        f"{path.relative_to(ROOT)}:{one.line}: {one.kind}: {one.text}"
        for path in modules()
        if str(path.relative_to(ROOT)).startswith(thinks) and "training" not in path.parts
        for one in varying(path.read_text())
        if not one.excuse
    ]
    assert found == []


def test_no_module_is_longer_than_a_person_likes_to_read() -> None:
    lengths = {path.relative_to(ROOT): path.read_text().count("\n") for path in modules()}
    assert {path: n for path, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_every_link_in_the_documents_resolves() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in house_files(".md")
        for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", path.read_text())
        if "://" not in target and not target.startswith(("#", "mailto:"))
        if not (path.parent / target.split("#")[0]).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("name", ["requirements.txt", "uv.txt", "llm.txt"])
def test_the_lock_names_no_index_and_no_folder(name: str) -> None:
    text = (ROOT / "setup" / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    assert re.findall(r"(?<![\w=])/\w+", text) == []


def test_the_lock_has_a_hash_for_every_package() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.read_text().strip())
    assert [entry for entry in entries if "==" not in entry or "sha256:" not in entry] == []


def test_the_lock_satisfies_what_the_project_asks_for() -> None:
    pinned = {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK.read_text(), re.MULTILINE)
    }
    wanted = [Requirement(text) for text in project_requirements()]
    assert [
        str(requirement)
        for requirement in wanted
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ] == []


def test_every_imported_package_is_one_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    known = {canonicalize_name(Requirement(text).name) for text in asked} | {"pydantic-core"}
    homes = packages_distributions()
    unknown = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*modules(), *(ROOT / "tests").rglob("*.py")]
        if path.parent != PEERS and path not in ROS_ROBOTS
        for name in imported_names(ast.parse(path.read_text()))
        if not known & {canonicalize_name(home) for home in homes.get(name, [name])}
    }
    assert unknown == set()


def imported_names(tree: ast.Module) -> set[str]:
    """Return the first names of what is imported, but for Python's own and ours."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    homes = (ROOT / "tests", ROOT / "setup", ROOT / "hardware" / "firmware")  # files side by side
    own = {path.stem for home in homes for path in home.rglob("*.py")}
    own |= {"olympus", "micropython", "tests"}
    return found - own - sys.stdlib_module_names


def project_requirements() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    yield from project["project"]["dependencies"]
    yield from project["dependency-groups"]["build"]
    for extra, requirements in project["project"]["optional-dependencies"].items():
        if extra not in ("train", "llm"):  # llm has a lock of its own, setup/llm.txt
            yield from requirements


@pytest.mark.parametrize("peer", sorted(PEERS.glob("*.py")), ids=lambda peer: peer.stem)
def test_a_peer_belongs_to_one_benchmark_and_does_what_that_asks(peer: Path) -> None:
    trials = {"_bus_peers.py": "_bus_trials", "ros2.py": "_ros2_trips"}
    benches = [one for one in sorted(PEERS.parent.glob("*.py")) if peer.name in one.read_text()]
    assert len(benches) == 1, (
        f"{peer.name} is of {[one.name for one in benches]}: give each its own"
    )
    wanted = trials[benches[0].name]
    assert re.search(rf"^from {wanted} import ", peer.read_text(), re.MULTILINE)
