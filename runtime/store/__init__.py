"""The robot's memory on disk (LMDB): streams of messages, and queues that outlive a process."""

from olympus.runtime.store.ledger import Gap, Run
from olympus.runtime.store.queue import DiskQueue
from olympus.runtime.store.streams import Incoming, StreamStore

__all__ = ["DiskQueue", "Gap", "Incoming", "Run", "StreamStore"]
