"""Olympus: an edge runtime for sensor-driven agents."""

__version__ = "0.1.0"
