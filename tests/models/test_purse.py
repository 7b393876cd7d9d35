from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from olympus.models.purse import Purse, PurseError
from olympus.models.since_boot import BootClock, boot_clock

S = 1_000_000_000
DAY = 86400 * S


@pytest.mark.parametrize(
    "text",
    [
        "nonsense\n[1, 2.0]\n",
        "nonsense\n",
        "[1, -3]\n[2, 1]\n",
        "[1, NaN]\n",
        "[Infinity, 1]\n",
        "[1, Infinity]\n",
        f"[1, 1{'0' * 400}]\n",
        "[1, 2]\nx\n",
        "[1, 2, -1]\n",
        "[1, 2, 3, 4]\n",
        "[1, 2, 3, 4, 5]\n",
        '[1, 2, 3, "first", 0.5]\n',
        '[1, 2, 3, "first", 5, 6]\n',
        "[true, 1]\n",
        '"12"\n',
        '{"1": 1, "2": 2}\n',
        "7\n",
        "\n",
        "\xff",
    ],
)
def test_a_purse_that_holds_something_else_allows_nothing(tmp_path: Path, text: str) -> None:
    (file := tmp_path / "far.money").write_text(text, encoding="latin-1")
    with pytest.raises(PurseError, match=r"far\.money: .*mend it or take it away"):
        Purse(file).spent_since(0)
    assert file.read_text(encoding="latin-1") == text


@pytest.mark.parametrize(
    ("cut", "kept"), [("[200, 0.", []), ("[200, 0.5]", [(200, 0.5)]), ("[200, 0.5, 2", [])]
)
def test_a_payment_that_a_kill_cut_off_is_no_obstacle(
    tmp_path: Path, cut: str, kept: list[tuple[int, float]]
) -> None:
    (file := tmp_path / "far.money").write_text(f"[100, 0.5]\n{cut}")
    purse = Purse(file)
    assert purse.spent_since(0) == [(100, 0.5), *kept]
    purse.begin(300, 0.25)
    assert purse.spent_since(0) == [(100, 0.5), *kept, (300, 0.25)]


def test_a_call_counts_as_the_most_it_may_cost_until_it_is_known(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "far.money")
    first, second = purse.begin(100, 2.0), purse.begin(100, 3.0)
    assert first != second
    assert Purse(tmp_path / "far.money").spent_since(0) == [(100, 2.0), (100, 3.0)]
    purse.end(second, 150, 0.5)
    again = Purse(tmp_path / "far.money")
    assert again.spent_since(0) == [(100, 2.0), (150, 0.5)]
    third = again.begin(100, 1.0)  # the clock went back; it is another call all the same
    assert third not in (first, second)
    assert again.spent_since(0) == [(100, 2.0), (150, 0.5), (100, 1.0)]


NO_ROOM = """
import resource, sys
from pathlib import Path
from olympus.models.purse import Purse, PurseError
from olympus.models.since_boot import BootClock, boot_clock
file = Path(sys.argv[1])
purse = Purse(file)
call = purse.begin(100, 2.0)
before = file.read_bytes()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 7, hard))
for try_ in (lambda: purse.end(call, 150, 0.5), lambda: purse.begin(200, 2.0)):
    try:
        try_()
    except PurseError as error:
        assert str(file) in str(error), error
    else:
        raise SystemExit("there was room")
    assert file.read_bytes() == before, file.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
purse.begin(200, 2.0)
print(purse.spent_since(0))
"""


def test_a_line_that_did_not_go_in_whole_is_taken_out_and_written_later(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(tmp_path / "far.money")],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[(150, 0.5), (200, 2.0)]"


def test_half_a_line_that_could_not_be_taken_out_is_cut_off_before_the_next(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "far.money")
    purse.begin(100, 2.0)
    with (tmp_path / "far.money").open("a") as file:
        file.write("[200, 0")
    purse.begin(300, 1.0)
    assert purse.spent_since(0) == [(100, 2.0), (300, 1.0)]


def test_a_file_that_became_something_else_meanwhile_is_left_alone(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "far.money")
    purse.begin(100, 2.0)
    (tmp_path / "far.money").write_text("x" * 10_000)
    with pytest.raises(PurseError, match="can't be written"):
        purse.begin(300, 1.0)
    assert (tmp_path / "far.money").read_text() == "x" * 10_000


def test_what_is_older_than_a_day_leaves_the_file_while_it_is_used(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "far.money", lines=8)
    under_way = purse.begin(2 * DAY - S, 3.0)
    for when_ns in (S, S, 2 * DAY):
        purse.end(purse.begin(when_ns, 1.0), when_ns, 0.5)
    assert purse.spent_since(0) == [(2 * DAY - S, 3.0), (S, 0.5), (S, 0.5), (2 * DAY, 0.5)]
    for _ in range(3):
        purse.end(purse.begin(2 * DAY, 1.0), 2 * DAY, 0.25)
    purse.end(under_way, 2 * DAY, 0.125)
    assert str(S) not in (tmp_path / "far.money").read_text()
    money = sorted(money for _, money in purse.spent_since(0))
    assert money == [0.125, 0.25, 0.25, 0.25, 0.5]


class Machine:
    """Its wall clock can be set, its boot clock can't."""

    def __init__(self, boot: str = "first") -> None:
        self.boot, self.up_ns, self.wall_ns = boot, 10 * S, 100 * DAY

    def forward(self, ns: int) -> None:
        self.up_ns += ns
        self.wall_ns += ns

    def purse(self, path: Path) -> Purse:
        return Purse(path / "far.money", boot=BootClock(self.boot, lambda: self.up_ns))

    def spent(self, path: Path) -> float:
        now_ns = self.wall_ns
        return sum(m for _, m in self.purse(path).spent_since(now_ns - DAY, now_ns=now_ns))


@pytest.mark.parametrize("leap_ns", [DAY + S, 1000 * DAY, -50 * DAY])
def test_a_clock_that_is_set_does_not_renew_the_day_but_a_day_does(
    tmp_path: Path, leap_ns: int, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    purse = machine.purse(tmp_path)
    purse.end(purse.begin(machine.wall_ns, 1.0), machine.wall_ns, 0.5)
    machine.forward(S)
    assert machine.spent(tmp_path) == 0.5
    assert not caplog.messages
    machine.wall_ns += leap_ns
    assert machine.spent(tmp_path) == 0.5
    assert f"the clock was set by {leap_ns / 1e9:+.0f} s" in caplog.text
    machine.forward(DAY - 2 * S)
    assert machine.spent(tmp_path) == 0.5
    machine.forward(2 * S)
    assert machine.spent(tmp_path) == 0.0


def test_a_clock_that_is_set_takes_no_payment_of_the_day_out_of_a_full_file(
    tmp_path: Path,
) -> None:
    machine = Machine()
    file, clock = tmp_path / "far.money", BootClock("first", lambda: machine.up_ns)
    purse = Purse(file, lines=4, boot=clock)
    for _ in range(8):
        machine.forward(S)
        machine.wall_ns += 2 * DAY
        purse.end(purse.begin(machine.wall_ns, 1.0), machine.wall_ns, 0.5)
    assert machine.spent(tmp_path) == 4.0


def test_over_a_restart_of_the_machine_the_wall_clock_is_believed(tmp_path: Path) -> None:
    machine = Machine()
    machine.purse(tmp_path).begin(machine.wall_ns, 1.0)
    machine.boot, machine.up_ns = "second", S
    machine.wall_ns += DAY - S
    assert machine.spent(tmp_path) == 1.0
    machine.wall_ns += 2 * S
    assert machine.spent(tmp_path) == 0.0


def test_this_machine_has_a_clock_that_nobody_sets() -> None:
    clock = boot_clock()
    assert clock.boot == boot_clock().boot != ""
    assert 0 < clock.now_ns() <= clock.now_ns()


def test_threads_take_turns(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "far.money")

    def pay() -> None:
        for _ in range(20):
            purse.end(purse.begin(100, 9.0), 100, 0.5)

    threads = [threading.Thread(target=pay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert purse.spent_since(0) == [(100, 0.5)] * 80
