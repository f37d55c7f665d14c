"""Where reading a Gmail mailbox goes on, as text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Read the history after ``history``; or, with a ``listing`` ("inbox", or "all"), first the
    list of mail since ``since``. ``after`` is the last message that was handed over of either.

    History ids are text: they may have more than 64 bits.
    """

    history: str
    seen: datetime  # the history was read to its end then
    floor: datetime  # older mail does not concern us
    since: datetime
    listing: str = ""
    after: str = ""

    def text(self) -> str:
        times = {name: _seconds(getattr(self, name)) for name in ("seen", "floor", "since")}
        listing = {"listing": self.listing} if self.listing else {}
        after = {"after": self.after} if self.after else {}
        return orjson.dumps({"gmail": self.history, **times, **listing, **after}).decode()

    @classmethod
    def read(cls, text: str) -> Checkpoint | None:
        """None for the checkpoint of another mailbox, or none."""
        try:
            given: Any = orjson.loads(text)
            return cls(
                history=str(int(given["gmail"])),
                seen=_time(given["seen"]),
                floor=_time(given["floor"]),
                since=_time(given["since"]),
                listing=str(given.get("listing", "")),
                after=str(given.get("after", "")),
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
            return None


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
