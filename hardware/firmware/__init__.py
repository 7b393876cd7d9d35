"""What runs on the robot's microcontrollers; copied there, never imported by a node."""
