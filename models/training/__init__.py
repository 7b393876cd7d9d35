"""Seeded recipes that make the shipped models; they need the extra `train`."""
