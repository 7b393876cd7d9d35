"""The simulated building: a MuJoCo world, its sensors, its people, and the faults one can cause."""
