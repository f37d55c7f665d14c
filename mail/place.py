"""A checkpoint of a mailbox with folders: when it was connected, and how far each is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mail.provider import Arrival

CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Place:
    """``folders`` holds a provider's own text for each folder that it has seen."""

    connected: datetime
    folders: Mapping[str, str]

    @classmethod
    def read(cls, checkpoint: str, now: datetime) -> Place:
        """A checkpoint that is none of ours is that of a mailbox connected ``now``."""
        try:
            said = json.loads(checkpoint)
            connected = datetime.fromisoformat(said["connected"])
            folders = {str(name): str(position) for name, position in said["folders"].items()}
            return cls(connected.astimezone(now.tzinfo), folders)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(now, {})

    @property
    def sent_since(self) -> datetime:
        """Sent mail that is older concerns nobody; the server's clock need not be ours."""
        return self.connected - CLOCKS_DIFFER

    def told(self, arrivals: Iterable[Arrival]) -> tuple[Arrival, ...]:
        """Only what was answered before we were connected is nobody's work any more; of later
        answers the sent mail tells."""
        return tuple(
            replace(one, is_answered=False) if one.received_at >= self.connected else one
            for one in arrivals
        )

    def at(self, folder: str) -> str:
        return self.folders.get(folder, "")

    def moved(self, folder: str, position: str) -> Place:
        return Place(self.connected, {**self.folders, folder: position})

    def written(self) -> str:
        said = {"connected": self.connected.isoformat(), "folders": dict(self.folders)}
        return json.dumps(said, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Found:
    """What one folder has after a position, and the position that covers it."""

    arrivals: tuple[Arrival, ...]
    position: str
    more: bool
