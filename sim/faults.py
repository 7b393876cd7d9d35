"""What can be made to go wrong in the simulation: plain fields, set by name."""

from __future__ import annotations

from dataclasses import dataclass, fields

from olympus.runtime.errors import ConfigError, did_you_mean


@dataclass(slots=True)
class Faults:
    """Each field is one fault; the default is a healthy rover."""

    camera_frozen: bool = False
    """The camera repeats its last picture, with fresh stamps."""
    camera_black: bool = False
    """The camera gives black pictures."""
    camera_garbage: bool = False
    """The camera gives random pixels."""
    camera_silent: bool = False
    """The camera gives nothing at all."""
    motor_stuck_left: bool = False
    """The left wheel is blocked."""
    motor_stuck_right: bool = False
    """The right wheel is blocked."""
    encoder_garbage: bool = False
    """Wheel encoders read NaN."""
    range_garbage: bool = False
    """Range sensors give random distances, some of them NaN or negative."""
    imu_garbage: bool = False
    """The IMU gives NaN and huge values."""
    microphone_dead: bool = False
    """The microphone gives digital silence."""
    microphone_silent: bool = False
    """The microphone gives nothing at all."""
    mqtt_garbage: bool = False
    """IoT devices publish nonsense instead of their readings."""
    battery_low: bool = False
    """The battery is nearly empty."""
    slip_factor: float = 0.0
    """Share of the wheels' turning that is lost on the floor, 0..0.95."""

    def set(self, name: str, value: float | bool) -> None:
        """Cause a fault, or end it.

        Args:
            name: A field of this class.
            value: True or False, any number for those; 0..0.95 for `slip_factor`.

        Raises:
            ConfigError: There is no such fault, or the value is out of range.
        """
        names = [f.name for f in fields(self)]
        if name not in names:
            raise ConfigError(f"no fault {name!r}; {did_you_mean(name, names)}")
        if name == "slip_factor":
            if not 0.0 <= value <= 0.95:
                raise ConfigError(f"slip_factor={value}: a share from 0 to 0.95; try 0.3")
            self.slip_factor = float(value)
        else:
            setattr(self, name, bool(value))

    def active(self) -> tuple[str, ...]:
        """Name the faults that are on at present."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name))
