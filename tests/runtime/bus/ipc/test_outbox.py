"""What waits for a slow reader: bounded, in order, nothing unseen."""

from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.bus.ipc.outbox import PATIENT, Outbox, Parcel, Rule, strictest
from olympus.runtime.bus.ipc.records import LENGTH, MANY
from olympus.runtime.qos import Overflow

RULES = {
    1: Rule(Overflow.LATEST, 1),
    2: Rule(Overflow.DROP_OLDEST, 3),
    3: Rule(Overflow.DROP_NEWEST, 2),
    4: PATIENT,
}


def records_of(packet: bytes) -> list[bytes]:
    if not packet or packet[0] != MANY:
        return [packet] if packet else []
    records, position = [], 1
    while position < len(packet):
        (length,) = LENGTH.unpack_from(packet, position)
        records.append(packet[position + 4 : position + 4 + length])
        position += 4 + length
    return records


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 4]), st.booleans()), max_size=200))
def test_each_topic_keeps_its_order_and_every_record_is_sent_or_dropped(
    steps: list[tuple[int, bool]],
) -> None:
    outbox, sent, dropped = Outbox(), list[bytes](), 0
    for number, (channel, is_pause) in enumerate(steps):
        dropped += len(outbox.put(Parcel(b"%d %06d" % (channel, number)), channel, RULES[channel]))
        for packet, parcels in outbox.packets() if is_pause else ():
            sent += records_of(packet)
            outbox.done(parcels)
    for packet, parcels in outbox.packets():
        sent += records_of(packet)
        outbox.done(parcels)
    assert len(sent) + dropped == len(steps)
    assert outbox.nbytes == 0
    for channel in RULES:
        row = [record for record in sent if record.startswith(b"%d" % channel)]
        assert row == sorted(set(row))
    assert sum(record[:1] == b"4" for record in sent) == sum(c == 4 for c, _ in steps)


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=100))
def test_no_more_waits_than_the_rules_say(channels: list[int]) -> None:
    outbox = Outbox()
    for channel in channels:
        outbox.put(Parcel(b"x" * 50), channel, RULES[channel])
    assert outbox.nbytes <= 50 * (1 + 3 + 2)
    assert len(outbox.clear()) <= 6
    assert not outbox


@given(st.lists(st.tuples(st.sampled_from([1, 2, 4]), st.integers(1, 400)), max_size=12))
def test_a_reader_that_is_stopped_for_long_costs_no_memory_for_what_was_dropped(
    bursts: list[tuple[int, int]],
) -> None:
    outbox, patient, last = Outbox(), 0, dict[int, bytes]()
    for channel, count in bursts:
        for number in range(count):
            last[channel] = b"%d %06d" % (channel, number)
            outbox.put(Parcel(last[channel]), channel, RULES[channel])
        patient += count * (channel == 4)
    taken, sent = 0, list[bytes]()
    for packet, parcels in outbox.packets():
        sent += records_of(packet)
        taken += parcels
        outbox.done(parcels)
    assert taken <= 2 * (patient + 4) + 300
    assert len([record for record in sent if record.startswith(b"4")]) == patient
    assert all(record in sent for record in last.values())
    assert outbox.nbytes == 0


def test_the_newest_of_a_topic_that_keeps_one_is_what_goes() -> None:
    outbox = Outbox()
    for number in range(9):
        outbox.put(Parcel(b"%d" % number), 1, RULES[1])
    assert next(outbox.packets()) == (b"8", 9)


def test_several_subscriptions_of_one_host_each_get_what_they_want() -> None:
    assert strictest([RULES[1], RULES[4]]) == PATIENT
    assert strictest([RULES[1], RULES[2]]) == Rule(Overflow.DROP_OLDEST, 3)
    assert strictest([RULES[3]]) == RULES[3]
    assert strictest([RULES[3], RULES[1]]) == Rule(Overflow.DROP_OLDEST, 2)
