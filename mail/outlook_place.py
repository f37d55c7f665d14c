"""Where reading an Outlook mailbox stands: the checkpoint, folder by folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

INBOX, SENT = "inbox", "sentitems"

OVERLAP = timedelta(days=30)
"""When Graph forgot our place, mails this much older than the last complete round come again."""


class Waiting(NamedTuple):
    """A mail that is known to be there and was not handed over yet."""

    id: str
    received: str  # as Graph writes it; "" when it was not told
    conversation: str


@dataclass(frozen=True, slots=True)
class Spot:
    """One folder. ``link`` goes on from here ("": from the beginning); mails before ``since`` are
    left alone; ``synced`` is when the folder was last seen to its end."""

    since: str
    link: str = ""
    is_round_over: bool = False
    synced: str = ""
    rest: tuple[Waiting, ...] = ()

    def restarted(self) -> Spot:
        """From the beginning, without what an earlier complete round saw long ago."""
        if not self.synced:
            return Spot(self.since)
        return Spot(max(self.since, stamp(moment(self.synced) - OVERLAP)))


@dataclass(frozen=True, slots=True)
class Place:
    """All folders of one mailbox, by their well-known names."""

    mailbox: str
    folders: Mapping[str, Spot] = field(default_factory=dict)

    @property
    def connected(self) -> datetime:
        """Sent mail counts from then on. Where the place was forgotten it is later, and so is
        whatever of the inbox comes again."""
        return moment(self.folders[SENT].since)

    def moved(self, folder: str, spot: Spot) -> Place:
        return replace(self, folders={**self.folders, folder: spot})

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def read_place(checkpoint: str) -> Place | None:
    """None when it is not one of ours."""
    try:
        record = json.loads(checkpoint)
        folders = {name: _spot(one) for name, one in record["folders"].items()}
        return Place(str(record["mailbox"]), folders)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _spot(record: Mapping[str, Any]) -> Spot:
    rest = tuple(Waiting(*map(str, one)) for one in record["rest"])
    return Spot(
        since=str(record["since"]),
        link=str(record["link"]),
        is_round_over=bool(record["is_round_over"]),
        synced=str(record["synced"]),
        rest=rest,
    )


def stamp(moment: datetime) -> str:
    """As Graph writes times: texts that sort like them."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(stamp: str) -> datetime:
    """Raises ValueError."""
    return datetime.fromisoformat(stamp).astimezone(UTC)
