"""The bus between hosts of one machine: unix sockets for what is small, shared memory for arrays.

Nothing here has a name in the file system but the door (`door.py`): sockets and memory are handed
over as descriptors, so a process that is killed leaves nothing behind.
"""

from olympus.runtime.bus.ipc.door import open_door
from olympus.runtime.bus.ipc.member import Member
from olympus.runtime.bus.ipc.sender import Sender

__all__ = ["Member", "Sender", "open_door"]
