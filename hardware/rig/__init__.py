"""Hardware without hardware: the relay under MicroPython, Linux in a virtual machine."""
