"""The settings of the order in which tickets are served."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from desk.priority import USUAL, Weights
from desk.section import Section

Minutes = Annotated[int, Field(ge=0)]


class PrioritySettings(Section):
    """Minutes that each reason moves a ticket up; ``vips`` are addresses and @domains."""

    vip_minutes: Minutes = USUAL.vip
    unhappy_minutes: Minutes = USUAL.unhappy
    reopened_minutes: Minutes = USUAL.reopened
    again_minutes: Minutes = USUAL.again
    again_most_minutes: Minutes = USUAL.again_most
    bump_minutes: Minutes = USUAL.bump
    most_minutes: Minutes = USUAL.most
    late_minutes: Minutes = USUAL.late
    vips: tuple[str, ...] = ()

    @field_validator("vips")
    @classmethod
    def _folded(cls, vips: tuple[str, ...]) -> tuple[str, ...]:
        if strange := [vip for vip in vips if "@" not in vip]:
            raise ValueError(f"{strange[0]!r} is no address and no @domain")
        return tuple(vip.strip().casefold() for vip in vips)

    @property
    def weights(self) -> Weights:
        given = {name.removesuffix("_minutes"): value for name, value in self}
        return Weights(**{**given, "vips": frozenset(self.vips)})
