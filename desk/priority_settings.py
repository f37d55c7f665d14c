"""The settings of the order in which tickets are served."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from desk.priority import Weights
from desk.section import Section

Minutes = Annotated[int, Field(ge=0)]


class PrioritySettings(Section):
    """Minutes that each reason moves a ticket up; ``vips`` are addresses and @domains."""

    vip_minutes: Minutes = 30
    unhappy_minutes: Minutes = 20
    reopened_minutes: Minutes = 15
    again_minutes: Minutes = 15
    again_most_minutes: Minutes = 45
    bump_minutes: Minutes = 60
    most_minutes: Minutes = 120
    late_minutes: Minutes = 240
    vips: tuple[str, ...] = ()

    @property
    def weights(self) -> Weights:
        return Weights(
            vip=self.vip_minutes,
            unhappy=self.unhappy_minutes,
            reopened=self.reopened_minutes,
            again=self.again_minutes,
            again_most=self.again_most_minutes,
            bump=self.bump_minutes,
            most=self.most_minutes,
            late=self.late_minutes,
            vips=frozenset(vip.strip().casefold() for vip in self.vips),
        )
