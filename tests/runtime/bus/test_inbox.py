from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.bus.inbox import Inbox
from olympus.runtime.qos import Overflow, QoS

policies = st.one_of(
    st.just(QoS.latest()),
    st.builds(QoS.queue, st.integers(1, 5), drop=st.sampled_from(["oldest", "newest"])),
    st.builds(QoS.block, st.integers(1, 5)),
    st.builds(QoS.lossless, st.integers(1, 5)),
)
steps = st.lists(st.sampled_from(["put", "take"]), max_size=60)


class MemorySpill(deque[int]):
    """A spill that is a deque: what DiskQueue is on disk."""

    def close(self) -> None:
        """There is no disk."""


def play(qos: QoS, actions: list[str]) -> tuple[list[int], Inbox[int], int]:
    inbox: Inbox[int] = Inbox(qos, MemorySpill())
    taken, count = [], 0
    for action in actions:
        if action == "put":
            inbox.put(count)
            count += 1
        elif (item := inbox.take()) is not None:
            taken.append(item)
    return taken, inbox, count


@given(policies, steps)
def test_nothing_leaves_unseen(qos: QoS, actions: list[str]) -> None:
    taken, inbox, count = play(qos, actions)
    assert len(taken) + len(inbox) + sum(inbox.dropped.values()) == count


@given(policies, steps)
def test_order_is_kept_and_nothing_comes_twice(qos: QoS, actions: list[str]) -> None:
    taken, inbox, _ = play(qos, actions)
    while (item := inbox.take()) is not None:
        taken.append(item)
    assert taken == sorted(set(taken))


@given(st.integers(1, 5), steps)
def test_lossless_loses_nothing(depth: int, actions: list[str]) -> None:
    taken, inbox, count = play(QoS.lossless(depth), actions)
    while (item := inbox.take()) is not None:
        taken.append(item)
    assert taken == list(range(count))
    assert not inbox.dropped


@given(policies, steps)
def test_memory_is_bounded_by_the_depth(qos: QoS, actions: list[str]) -> None:
    _, inbox, _ = play(qos, actions)
    if qos.overflow is not Overflow.LOSSLESS:
        assert len(inbox) <= qos.depth


def test_latest_hands_out_the_newest() -> None:
    taken, inbox, _ = play(QoS.latest(), ["put", "put", "put", "take"])
    assert taken == [2]
    assert inbox.dropped == {"superseded": 2}


def test_drop_newest_keeps_what_was_there_first() -> None:
    taken, inbox, _ = play(QoS.queue(2, drop="newest"), ["put"] * 4 + ["take"] * 2)
    assert taken == [0, 1]
    assert inbox.dropped == {"overflow": 2}


def test_only_the_first_item_says_that_somebody_must_be_told() -> None:
    inbox: Inbox[int] = Inbox(QoS.queue(5))
    assert [inbox.put(1), inbox.put(2)] == [True, False]


def test_clearing_counts_what_is_thrown_away_and_leaves_the_disk_alone() -> None:
    _, inbox, _ = play(QoS.lossless(1), ["put"] * 3)
    assert (inbox.clear(), inbox.dropped) == (1, {"cleared": 1})
    assert (inbox.forget_spill(), len(inbox)) == (2, 0)


def test_a_counter_stays_at_the_largest_number_that_fits_a_message() -> None:
    inbox: Inbox[int] = Inbox(QoS.queue(1))
    inbox.count("gap", 2**64 - 1)
    assert inbox.count("gap", 5) == 2**63 - 1


@given(st.lists(st.integers(), min_size=1, max_size=5), st.lists(st.integers(), max_size=9))
def test_what_an_earlier_process_spilled_comes_first(before: list[int], after: list[int]) -> None:
    inbox: Inbox[int] = Inbox(QoS.lossless(2), MemorySpill(before))
    for number in after:
        inbox.put(number)
    taken = []
    while (item := inbox.take()) is not None:
        taken.append(item)
    assert taken == before + after
    assert len(inbox) == 0
