"""The safety path: guardian, lease, heartbeat and gate; standard library only."""
