"""What every section of a launch file is, and the kinds of names in it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from olympus.runtime.errors import did_you_mean

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
Namespace = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*)?$")
]
NodeId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*$")
]
ArgumentName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$")
]
TopicPattern = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9_@*][A-Za-z0-9_.*-]*(/[A-Za-z0-9_@*][A-Za-z0-9_.*-]*)*$"
    ),
]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
SilenceLimit = Annotated[float, Field(gt=0, le=10)]


class Section(BaseModel):
    """A mapping that refuses keys it does not know, with a hint at the right one."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                hint = did_you_mean(key, cls.model_fields)
                raise PydanticCustomError(
                    "unknown_key",
                    "unknown key {key}; {hint}",
                    {"key": repr(key), "raw": key, "hint": hint},
                )
        return data
