"""What stands in for MicroPython's `machine` on a computer."""
