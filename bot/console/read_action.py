"""What a console page says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from bot.press import Press, read_press
from desk.errors import Refused
from desk.ids import TicketId

LONGEST_KEY = 100
LONGEST_LINE = 1000


@dataclass(frozen=True, slots=True)
class Open:
    """Show this ticket here from now on. Each has a higher ``number``."""

    id: TicketId
    number: int = 0


@dataclass(frozen=True, slots=True)
class Act:
    key: str
    press: Press


@dataclass(frozen=True, slots=True)
class Line:
    """A command that was typed."""

    key: str
    line: str


def read_message(raw: str) -> Open | Act | Line:
    """Refused when it is none of these."""
    said = _object(raw)
    match said.get("type"):
        case "open" if isinstance(id := said.get("id"), int):
            number = said.get("number")
            return Open(TicketId(id), number if isinstance(number, int) else 0)
        case "act" if isinstance(data := said.get("data"), dict):
            return Act(read_key(said), read_press(data))
        case "command" if isinstance(line := said.get("line"), str):
            return Line(read_key(said), line[:LONGEST_LINE])
    raise Refused("The page said something that this Maildesk does not understand: reload it")


def _object(raw: str) -> dict[str, Any]:
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def read_key(said: dict[str, Any]) -> str:
    key = said.get("key")
    if not isinstance(key, str) or not 8 <= len(key) <= LONGEST_KEY:
        raise Refused("The page sent a click without a key: reload it, please")
    return key
