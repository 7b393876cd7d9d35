"""The fault campaign: real processes, one fault at a time, the time until the motor is neutral."""
