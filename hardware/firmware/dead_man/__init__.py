"""Firmware of the dead-man relay, for an RP2040 board; also run by tests."""
