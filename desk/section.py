"""A section of the settings: unknown keys are errors, and nothing changes later."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65_535)]
"""0 lets the system choose one."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
