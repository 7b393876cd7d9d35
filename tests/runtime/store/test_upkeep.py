from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.errors import ConfigError, DamageError, StoreError
from olympus.runtime.messages import Header, Reading
from olympus.runtime.store import Gap, Incoming, Run, StreamStore
from olympus.runtime.store.environment import DATA
from olympus.runtime.store.ledger import GapFinder
from olympus.runtime.store.retention import make_room, prune_topic
from olympus.runtime.store.room import TopicClass, class_of, fill_of, keep_every
from olympus.runtime.store.upkeep import backup, check_all, compact, forget, restore, topic_rows
from olympus.runtime.store.writer import BatchWriter

S = 10**9


def reading(value: float, seq: int) -> Reading:
    return Reading(
        header=Header(stamp=seq * S, seq=seq, source="sensor"), name="a", value=value, unit="1"
    )


def fill(store: StreamStore, topic: str, count: int, subject: int = 0, first: int = 1) -> None:
    store.add(
        [
            Incoming.of(topic, reading(float(seq), seq), subject=subject)
            for seq in range(first, first + count)
        ]
    )


@given(st.lists(st.integers(1, 60), unique=True, min_size=1).map(sorted))
def test_what_is_there_and_what_is_missing_add_up_to_what_was_sent(came: list[int]) -> None:
    finder = GapFinder({("t", "s"): (0, 0)})
    for seq in came:
        finder.take("t", "s", seq, seq)
    lost = [
        n for gap in finder.gaps for n in range(gap.after_seq + 1, gap.after_seq + gap.missing + 1)
    ]
    assert sorted([*came, *lost]) == list(range(1, came[-1] + 1))


def test_a_publisher_that_was_started_again_is_no_gap() -> None:
    finder = GapFinder()
    for seq in (7, 8, 1, 2):
        finder.take("t", "s", seq, seq)
    assert finder.gaps == []


def test_left_out_messages_in_a_row_are_one_gap_with_their_reason() -> None:
    finder = GapFinder()
    finder.take("t", "s", 1, 1)
    for seq in (2, 3, 4):
        finder.take("t", "s", seq, seq, missed=1, reason="thinned")
    finder.take("t", "s", 6, 6)
    assert finder.gaps == [Gap("t", "s", 1, 3, 4, "thinned"), Gap("t", "s", 4, 1, 6)]


def test_a_run_says_whether_it_is_complete(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.begin_run(Run(number=0, session="one", started=1, seen=1))
        fill(store, "t", 5)
        ended = store.end_run(10 * S)
        assert ended is not None
        assert (ended.is_complete, ended.recorded, ended.number) == (True, 5, 1)
        store.begin_run(Run(number=0, session="one", started=1, seen=1))
        fill(store, "t", 2, first=8)  # 6 and 7 were sent while nobody recorded
        ended = store.end_run(20 * S)
        assert ended is not None
        assert (ended.is_complete, ended.missing) == (False, 2)
    with StreamStore(tmp_path, read_only=True) as store:
        assert [(gap.after_seq, gap.missing) for gap in store.gaps()] == [(5, 2)]
        assert topic_rows(store)[0].messages == 7
        assert topic_rows(store)[0].missing == 2


@given(st.sampled_from(TopicClass), st.floats(0, 2), st.floats(0, 2))
def test_the_fuller_it_is_the_less_is_kept_and_safety_always(
    cls: TopicClass, one: float, other: float
) -> None:
    rare = keep_every(cls, max(one, other)) or 10**9
    often = keep_every(cls, min(one, other)) or 10**9
    assert rare >= often
    assert keep_every(TopicClass.SAFETY, one) == 1
    assert (keep_every(TopicClass.SENSOR, one) or 10**9) >= (
        keep_every(TopicClass.STATE, one) or 10**9
    )


def test_topics_have_classes_and_safety_wins() -> None:
    assert class_of("rover/camera/image") is TopicClass.SENSOR
    assert class_of("rover/odometry") is TopicClass.STATE
    assert class_of("safety/state") is TopicClass.SAFETY
    assert class_of("safety/image") is TopicClass.SAFETY
    assert fill_of(50, 100, spare_bytes=1000, tight_bytes=10) == 0.5


def test_when_room_runs_out_sensors_go_first_and_safety_is_recorded_to_the_end(
    tmp_path: Path,
) -> None:
    with StreamStore(tmp_path, map_bytes=12 * 2**20) as store:
        writer = BatchWriter(store, max_bytes=8 * 2**20, reserve_bytes=4 * 2**20)
        missed: dict[str, int] = {}
        stopped = sensors = 0
        for round_ in range(1, 61):
            batch = [
                Incoming("rover/camera/image", round_ * S, round_, "cam", 0, bytes(200_000)),
                Incoming("safety/state", round_ * S, round_, "guardian", 0, bytes(300)),
            ]
            written = writer.write(batch, now_ns=round_ * S)
            for reason, count in written.missed.items():
                missed[reason] = missed.get(reason, 0) + count
        stopped, sensors = store.count("safety/state"), store.count("rover/camera/image")
        assert stopped == 60
        assert 10 < sensors < 60
        assert sensors + sum(missed.values()) == 60
        assert {"thinned", "full"} & missed.keys()
        assert sum(gap.missing for gap in store.gaps()) == 60 - sensors


def test_old_messages_go_and_the_store_remembers_that_they_were_there(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        fill(store, "rover/image", 100)
        fill(store, "rover/odometry", 100)
        assert prune_topic(store, "rover/image", 31 * S).messages == 30
        assert make_room(store, 1).keys() == {"rover/image"}
        rows = {row.topic: row for row in topic_rows(store)}
        assert rows["rover/image"].messages + rows["rover/image"].pruned == 100
        assert rows["rover/odometry"].messages == 100


def test_a_backup_is_a_whole_store_and_can_be_put_back(tmp_path: Path) -> None:
    home, copy = tmp_path / "robot", tmp_path / "copy"
    with StreamStore(home) as store:
        fill(store, "t", 50)
        command = "from sys import argv; from olympus.runtime.cli.app import run; run(argv[1:])"
        words = ["store", "backup", str(copy), str(home)]  # a process of its own: it is in use here
        subprocess.run([sys.executable, "-c", command, *words], check=True, timeout=60)
        fill(store, "t", 50, first=51)
    assert restore(copy, home) == 50
    with StreamStore(home, read_only=True) as store:
        assert check_all(store) == 50
    with StreamStore(tmp_path / "robot.before", read_only=True) as store:
        assert check_all(store) == 100
    with pytest.raises(StoreError, match="not empty"):
        backup(home, copy)


def test_a_store_in_use_is_not_rewritten(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        fill(store, "t", 5)
        with pytest.raises(StoreError, match="another process uses it"):
            compact(tmp_path)
    before, after = compact(tmp_path)
    assert after <= before
    with StreamStore(tmp_path, read_only=True) as store:
        assert check_all(store) == 5


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_text("k" * 40)
    return str(file)


def test_an_encrypted_store_tells_nothing_without_its_key(tmp_path: Path, key: str) -> None:
    home = tmp_path / "store"
    with StreamStore(home, key=key) as store:
        fill(store, "t", 20)
    assert b"OLY1" not in (home / DATA).read_bytes()
    with StreamStore(home, read_only=True, key=key) as store:
        assert [one.value for one in store.read("t") if isinstance(one, Reading)][-1] == 20.0
    with (
        StreamStore(home, read_only=True) as store,
        pytest.raises(DamageError, match="use --key"),
    ):
        list(store.read("t"))
    other = tmp_path / "other"
    other.write_text("o" * 40)
    with pytest.raises(StoreError, match="another key"):
        StreamStore(home, read_only=True, key=str(other))
    other.write_text("short")
    with pytest.raises(ConfigError, match="32 or more"):
        StreamStore(home, read_only=True, key=str(other))


def test_a_key_may_come_from_a_command_such_as_a_tpm_s(tmp_path: Path) -> None:
    home, sealed = tmp_path / "store", tmp_path / "sealed key"
    sealed.write_bytes(b"\n" + bytes(range(100, 130)) + b" ")  # 32 bytes, as a TPM unseals them
    command = f"command:cat '{sealed}'"
    with StreamStore(home, key=command) as store:
        fill(store, "t", 3)
    with StreamStore(home, read_only=True, key=str(sealed)) as store:
        assert check_all(store) == 3
    with pytest.raises(ConfigError, match=r"'cat /nowhere' failed \(1\): cat: /nowhere"):
        StreamStore(home, read_only=True, key="command:cat /nowhere")
    with pytest.raises(ConfigError, match="No such file or directory"):
        StreamStore(home, read_only=True, key="command:tpm3_unseal -c 0x81000001")
    with pytest.raises(ConfigError, match="holds 5 bytes"):
        StreamStore(home, read_only=True, key="command:echo short")


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_who_is_forgotten_is_in_no_record_no_page_and_no_key(
    tmp_path: Path, key: str, is_encrypted: bool
) -> None:
    home, secret = tmp_path / "store", key if is_encrypted else ""
    with StreamStore(home, key=secret) as store:
        ann = store.subject("ann")
        store.add(
            [
                Incoming("t", n * S, n, "s", 0, b"ANN WAS HERE" * 40, subject=ann)
                for n in range(1, 200)
            ]
        )
        fill(store, "t", 20, first=500)
        old = tmp_path / "stolen"
        old.mkdir()
        store.file.copy_to(old, compact=False)
    assert forget(home, "ann", key=secret) == 199
    assert b"ANN WAS HERE" not in (home / DATA).read_bytes()
    with StreamStore(home, read_only=True, key=secret) as store:
        assert check_all(store) == 20
    with pytest.raises(StoreError, match="knows no subject 'bob'; it knows: ann"):
        forget(home, "bob", key=secret)


def test_a_forgotten_subject_can_not_be_read_from_a_copy_of_its_records(
    tmp_path: Path, key: str
) -> None:
    home = tmp_path / "store"
    with StreamStore(home, key=key) as store:
        ann = store.subject("ann")
        store.add([Incoming("t", S, 1, "s", 0, b"x" * 50, subject=ann)])
        rows = list(store.rows("t"))
    forget(home, "ann", key=key)
    with StreamStore(home, key=key) as store:

        def put(txn: object) -> None:
            database = store.file.database(b"topic:t", txn)  # type: ignore[arg-type]
            for row_key, value in rows:
                txn.put(row_key, value, db=database)  # type: ignore[attr-defined]

        store.file.write("bringing back a record", put)
        with pytest.raises(StoreError, match="was destroyed; nobody can read it"):
            list(store.records("t"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 7))
def test_a_flipped_bit_is_an_error_that_names_the_place_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, where: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    with StreamStore(folder) as store:
        fill(store, "t", 60)
        whole = [(one.header.seq, one.value) for one in store.read("t") if isinstance(one, Reading)]
    data = bytearray((folder / DATA).read_bytes())
    data[where % len(data)] ^= 1 << bit
    (folder / DATA).write_bytes(bytes(data))
    try:
        with StreamStore(folder, read_only=True) as store:
            got = [
                (one.header.seq, one.value) for one in store.read("t") if isinstance(one, Reading)
            ]
    except StoreError as error:
        assert str(error)
    else:
        assert got == whole
    shutil.rmtree(folder)
