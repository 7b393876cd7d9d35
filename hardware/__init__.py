"""What a board is: its processor, buses, devices and limits, and how Olympus is installed on it."""
