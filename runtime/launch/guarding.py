"""What may stand under `safety` in a launch file: what is watched, fed, and read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from olympus.runtime.errors import ConfigError
from olympus.runtime.launch.section import Name, Section, SilenceLimit
from olympus.runtime.safety.stopinput import StopInput, read_stop_input


class Backstop(BaseModel):
    """A layer behind the gates: relay, watchdog; its module checks the other keys."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    __pydantic_extra__: dict[str, JsonValue]

    @model_validator(mode="before")
    @classmethod
    def _names_its_module(cls, data: Any) -> Any:
        if isinstance(data, dict) and "uses" not in data:
            raise PydanticCustomError("uses", "a backstop needs `uses`, the name of its module", {})
        return data

    uses: str
    """Its module, `olympus.hardware.relay`: installed, or beside this file; it needs no package."""
    name: Name | None = None
    """Its name in the status; the last part of `uses` when left out."""


class Estop(Section):
    """A button's normally closed contact, read by the guardian itself: open, cut or lost stops."""

    line: str | int | None = None
    """The GPIO line's name as the kernel has it, GPIO5, or its number on `chip`; empty for none."""
    chip: str | None = None
    """Device, kernel name or label of its chip; any chip with a line of that name when left out."""
    file: str | None = None
    """In place of a line: a file of the kernel that holds 0 while the contact is closed."""
    contact: Literal["ground", "supply"] = "ground"
    """What the closed contact ties the line to."""
    resistor: Literal["internal", "external"] = "internal"
    """What pulls the line when the contact is open: the chip, or a resistor of yours."""
    release_s: Annotated[float, Field(ge=0.02, le=2)] = 0.1
    """How long it must have been quiet before it counts as released; a press counts at once."""
    kill: bool = False
    """Whether a press is a kill, which only the console lifts."""

    @property
    def settings(self) -> StopInput | None:
        """What the guardian is told; None where the launch names no line and no file."""
        if self.line in (None, "") and not self.file:
            return None
        found = self.model_dump(exclude_none=True)
        return read_stop_input(found | {"line": "" if self.line is None else str(self.line)})

    @model_validator(mode="after")
    def _can_be_read(self) -> Estop:
        try:
            _ = self.settings
        except ConfigError as error:
            words = str(error).removeprefix("safety.estop").removeprefix(": ").lstrip(".")
            raise PydanticCustomError("estop", "{words}", {"words": words}) from error
        return self


class Safety(Section):
    """What the guardian watches before it lets anything move."""

    watch: dict[Name, SilenceLimit] = {}
    """Hosts whose heartbeat must be fresh, and how old in seconds it may grow; `launcher` is the
    launcher itself."""
    gates: dict[Name, SilenceLimit] = {}
    """Actuator gates that must answer, and how long in seconds they may be silent."""
    conditions: list[str] = []
    """Conditions that must have been reported good before anything may move."""
    backstops: list[Backstop] = []
    """What the guardian feeds behind the gates."""
    estop: Estop | None = None
    """The stop input that the guardian reads itself."""
    lease_ms: Annotated[int, Field(ge=2, le=1000)] = 60
    """How long one permission to move is valid; at least two periods."""
    period_ms: Annotated[int, Field(ge=1, le=100)] = 10
    """How often the guardian looks and renews."""
    priority: Annotated[int, Field(ge=0, le=99)] = 0
    """Real-time priority the guardian asks for; 0 for none. A refusal is a warning."""
    lock_memory: bool = True
    """Whether the guardian asks for locked memory."""
    keys_file: str | None = None
    """Keys of those who may stop from other machines: per line a name and 64 hexadecimal digits."""

    @property
    def is_watched(self) -> bool:
        """Whether there is anything for a guardian to watch."""
        return bool(self.watch or self.gates)

    @model_validator(mode="after")
    def _renews_in_time(self) -> Safety:
        if self.period_ms * 2 > self.lease_ms:
            raise PydanticCustomError(
                "safety",
                "period_ms={period} is more than half of lease_ms={lease}; "
                "a lease would run out between two looks",
                {"period": self.period_ms, "lease": self.lease_ms},
            )
        return self
