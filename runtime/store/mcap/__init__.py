"""Recordings as MCAP files, which Foxglove, Lichtblick, PlotJuggler and `ros2 bag play` open."""

from olympus.runtime.store.mcap.export import Exported, export_mcap
from olympus.runtime.store.mcap.take_in import Imported, import_bag
from olympus.runtime.store.mcap.words import Form

__all__ = ["Exported", "Form", "Imported", "export_mcap", "import_bag"]
