"""The command `olympus`."""

from olympus.runtime.cli.main import main

__all__ = ["main"]
