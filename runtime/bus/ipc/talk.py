"""What two hosts say to each other besides messages: msgpack lists, some with a descriptor.

board + memory                          how far this side is, see board.py
sub, number, pattern, overflow, depth   somebody here listens to a pattern
unsub, number                           and no longer does
open, channel, topic, type, version, hash, source, incarnation
what the records of a channel are; before the first one
pool, number, slot bytes, slots + memory
where slots lie; before the first record that has one
here, number, kind, host, node, topic, type
a node, publisher, subscriber or service is there
gone, number                            and no longer is
serve, name / unserve, name             questions to a service are answered here, or no longer
met                                     that was all there is to say at first

How much of it is kept of one host, bounds.py says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from olympus.runtime.bus.ipc.board import OtherBoard
from olympus.runtime.bus.ipc.bounds import check_room, check_texts
from olympus.runtime.bus.ipc.door import Peer
from olympus.runtime.bus.ipc.frames import Channel, Lent
from olympus.runtime.bus.ipc.memory import map_memory
from olympus.runtime.bus.ipc.outbox import Rule
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.link import Entity
from olympus.runtime.errors import BusError
from olympus.runtime.qos import Overflow

if TYPE_CHECKING:
    from olympus.runtime.bus.ipc.member import Member


def greet(member: Member, peer: Peer, words: Iterable[tuple[Any, ...]]) -> Pair:
    """Begin to talk with another host.

    Args:
        member: Who begins.
        peer: The other host.
        words: All there is to say at first.

    Raises:
        BusError: The system grants nothing to do it with.
    """
    try:
        pair = Pair(peer, member.pools, member)
    except BusError as error:
        for end in (peer.data, peer.talk):
            end.close()
        raise BusError(f"host {peer.host} can't be met: {error}") from error
    pair.tell("board", descriptors=(pair.board.memory.descriptor,))
    for said in (*words, ("met",)):
        pair.tell(*said)
    return pair


def hear(member: Member, pair: Pair, words: list[Any], descriptors: list[int]) -> bool:
    """Take in what another host said.

    Args:
        member: Who hears it.
        pair: Where it came from.
        words: What was said.
        descriptors: What came along; those that are taken are removed.

    Returns:
        Whether it made sense.

    Raises:
        BoundError: More of this kind is not kept of one host.
        BusError: The memory that came along can't be used, or a text is too long.
        ValueError: A rule is none.
        IndexError: No descriptor came along.
    """
    check_texts(words)
    match words:
        case ["board"]:
            pair.other = OtherBoard(descriptors.pop())
            pair.wire.meet(pair.other.cells)
        case ["pool", int(number), int(nbytes), int(count)] if number not in pair.pools:
            check_room(pair.host, "pools", pair.pools, number)
            mapped = map_memory(descriptors.pop(), nbytes * count)
            pair.pools[number] = Lent(nbytes, count, mapped, pair.board)
        case ["open", int(number), str(t), str(n), int(v), bytes(h), str(s), int(i)]:
            check_room(pair.host, "channels", pair.channels, number)
            pair.channels[number] = Channel(t, (n, v, h), s, i)
            member.aim(pair.channels[number])
        case ["sub", int(number), str(pattern), str(overflow), int(depth)]:
            check_room(pair.host, "patterns", pair.patterns, number)
            member.set_pattern(pair, number, (pattern, Rule(Overflow(overflow), max(1, depth))))
        case ["unsub", int(number)]:
            member.set_pattern(pair, number, None)
        case ["met"]:
            member.note_met(pair)
        case _:
            return _hear_of_things(pair, words)
    return True


def _hear_of_things(pair: Pair, words: list[Any]) -> bool:
    match words:
        case ["here", int(number), str(kind), str(host), str(node), str(topic), str(name)]:
            check_room(pair.host, "entities", pair.entities, number)
            pair.entities[number] = Entity(kind, host, node, topic, name)
        case ["gone", int(number)]:
            pair.entities.pop(number, None)
        case ["serve", str(name)]:
            check_room(pair.host, "services", pair.services, name)
            pair.services.add(name)
        case ["unserve", str(name)]:
            pair.services.discard(name)
        case _:
            return False
    return True


def here(number: int, entity: Entity) -> tuple[Any, ...]:
    """Return the words that announce an entity."""
    return ("here", number, entity.kind, entity.host, entity.node, entity.topic, entity.type)
