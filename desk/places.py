"""Where people talk to the desk, and where a card is shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Network(StrEnum):
    """Where people talk to the desk."""

    SLACK = "slack"
    TEAMS = "teams"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a card is shown: a message in a channel of a network; "" while it is being posted."""

    network: Network
    channel: str
    message: str
    version: int = 0
