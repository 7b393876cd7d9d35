"""A model in a process that has nothing of the bus: what is left of a model host's cost is ours.

Tensors lie in memory that both processes have; a packet through a socket says that there is a
question, another that there is an answer. Both sides sleep meanwhile, as the kernel lets them.
"""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from olympus.models.manifest import Tensor
from olympus.models.onnx import OnnxModel, open_model


def sizes(tensor: Tensor) -> tuple[int, ...]:
    """Return a tensor's shape, with 1 where a size may vary."""
    return tuple(dim if isinstance(dim, int) else 1 for dim in tensor.shape)


def place(model: OnnxModel, memory: mmap.mmap) -> NDArray[Any]:
    """Return the one input of a model, in memory."""
    (tensor,) = model.manifest.inputs
    shape = sizes(tensor)
    return np.frombuffer(memory, tensor.dtype, int(np.prod(shape))).reshape(shape)


class BareModel:
    """The asking side."""

    def __init__(self, model: OnnxModel, picture: NDArray[Any]) -> None:
        """Start the other process, which loads the same model."""
        file = os.memfd_create("picture")
        os.truncate(file, picture.nbytes)
        place(model, mmap.mmap(file, picture.nbytes))[...] = picture
        self._mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = model.name, str(file), str(its.fileno()), str(picture.nbytes)
        self._process = subprocess.Popen(
            [sys.executable, __file__, *words], pass_fds=(file, its.fileno())
        )
        its.close()
        os.close(file)
        self.ask()

    def ask(self) -> None:
        """Have it run once."""
        self._mine.send(b"?")
        if not self._mine.recv(1):
            raise RuntimeError("the bare process has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._mine.close()
        self._process.wait(20)


def main() -> None:
    """Answer until nobody asks any more."""
    name, file, end, nbytes = sys.argv[1:]
    model, link = open_model(name), socket.socket(fileno=int(end))
    (tensor,) = model.manifest.inputs
    feed = {tensor.name: place(model, mmap.mmap(int(file), int(nbytes)))}
    while link.recv(1):
        model.run(feed)
        link.send(b"!")


if __name__ == "__main__":
    main()
