"""Replay: the nodes of a recording run again, and what they publish is compared bit for bit."""
