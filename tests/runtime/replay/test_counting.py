"""What a replay did not publish anew is counted publisher by publisher."""

from __future__ import annotations

from pathlib import Path

import msgpack
import numpy as np
import pytest

from olympus.runtime.bus.link import Origin
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Header, Hop, Journal, Text
from olympus.runtime.node.journal import Kind
from olympus.runtime.node.loading import look_beside
from olympus.runtime.node.spec import NodeSpec
from olympus.runtime.replay.casting import full_names
from olympus.runtime.replay.counting import count_missing
from olympus.runtime.replay.engine import Engine
from olympus.runtime.replay.hosts import HostReplay
from olympus.runtime.replay.recording import Recording
from olympus.runtime.replay.rows import Row
from olympus.runtime.store import Run, StreamStore

HERE = Path(__file__).resolve().parent
BEGAN, ENDED = 1000, 2000
EARLY, LATE = (500, 600, 700), (1100, 1200, 1300)
"""When messages were sent: before the recorder began, and after."""


def word(source: str, seq: int, sent: int) -> Text:
    trace = (Hop("word", seq, sent, sent),)
    return Text(text="x", header=Header(seq=seq, stamp=sent, source=source, trace=trace))


def recorded(folder: Path, words: list[Text]) -> None:
    with StreamStore(folder) as store:
        store.begin_run(Run(number=0, session="s", started=BEGAN, seen=BEGAN))
        store.append([("word", one) for one in words])
        store.append([("@olympus/journal/h", Text(text="", header=Header(seq=1, stamp=BEGAN)))])
        store.end_run(ENDED)


def test_one_publisher_does_not_stand_for_another_on_its_topic(tmp_path: Path) -> None:
    """One says again what it said before the recorder began too, the other nothing at all."""
    talker = [word("talker", seq, sent) for seq, sent in enumerate((*EARLY, *LATE))]
    silent = [word("silent", seq, sent) for seq, sent in enumerate(LATE)]
    recorded(tmp_path, [*talker, *silent])
    look_beside(HERE)
    with Recording(tmp_path) as recording:
        engine = Engine(recording)
        specs = [NodeSpec(name=name, uses="driver_nodes:Mapper") for name in ("talker", "silent")]
        rows = [Row(Kind.NODE, -1, BEGAN, (spec.model_dump(),)) for spec in specs]
        rows += [Row(Kind.SENT, node, ENDED, ("word", 3)) for node in (0, 1)]
        host = HostReplay(engine, "h", iter(rows))
        while host.pull():
            pass
        node = host.nodes[0]
        assert node is not None
        for one in talker:
            engine.published(node, one, Origin("word", "talker", 1, one.header.seq))
        for part in filter(None, host.nodes):
            part.began_ns = BEGAN
        count_missing(engine.outcome, recording, [host])
    tally = engine.outcome.tallies["word"]
    assert (tally.equal, tally.missing) == (6, 3)
    (difference,) = engine.outcome.differences
    assert (difference.source, difference.recorded) == ("silent", "3 more messages")


def test_a_node_to_be_left_out_may_be_named_by_its_last_part(tmp_path: Path) -> None:
    recorded(tmp_path, [])
    names = ("one/eye", "two/eye", "two/ear", "ear")
    with StreamStore(tmp_path) as store:
        parts = [name.rpartition("/") for name in names]
        specs = [NodeSpec(name=last, namespace=first, uses="x") for first, _, last in parts]
        rows = b"".join(msgpack.packb((Kind.NODE, spec.model_dump())) for spec in specs)
        header = Header(seq=1, stamp=BEGAN)
        piece = Journal(header=header, host="g", restarts=0, rows=np.frombuffer(rows, np.uint8))
        store.append([("@olympus/journal/g", piece)])
    with Recording(tmp_path) as recording:
        assert full_names([], recording) == frozenset()
        assert full_names(["one/eye", "ear"], recording) == {"one/eye", "ear"}
        with pytest.raises(ConfigError, match="--inject eye: name one of one/eye, two/eye"):
            full_names(["eye"], recording)
        with pytest.raises(ConfigError, match="did you mean 'two/ear'"):
            full_names(["two/ears"], recording)
