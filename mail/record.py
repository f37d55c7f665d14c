"""Fields of what a mail service answers: each is there in the form that is documented, or the
answer is Transient, as one that was cut off is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from desk.errors import Transient

Record = Mapping[str, Any]


class Unclear(Transient):
    """The answer does not say what it should."""


def text_in(record: Record, name: str) -> str:
    """A text or a number."""
    found = record.get(name)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise Unclear(f"The mail service did not say {name} in its answer")
    return str(found)


def any_records_in(record: Record, name: str) -> Sequence[Record]:
    """None where the list is left out."""
    return () if record.get(name) is None else records_in(record, name)


def records_in(record: Record, name: str) -> Sequence[Record]:
    found = record.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Unclear(f"The mail service gave no list of {name} in its answer")
    return found


def any_words_in(record: Record, name: str) -> frozenset[str]:
    """None where the list is left out."""
    found = record.get(name)
    if found is None:
        return frozenset()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Unclear(f"The mail service gave no list of {name} in its answer")
    return frozenset(found)


def flag_in(record: Record, name: str) -> bool:
    found = record.get(name)
    if not isinstance(found, bool):
        raise Unclear(f"The mail service did not say {name} in its answer")
    return found


def record_in(record: Record, name: str) -> Record:
    found = record.get(name)
    if not isinstance(found, dict):
        raise Unclear(f"The mail service did not say {name} in its answer")
    return found


def number_in(record: Record, name: str) -> str:
    """As text: it may have more than 64 bits."""
    found = text_in(record, name)
    if not (found.isascii() and found.isdecimal()):
        raise Unclear(f"The mail service gave no number as {name} in its answer")
    return found


def any_text_in(record: Record, name: str) -> str:
    """Empty where there is none."""
    return "" if record.get(name) in (None, "") else text_in(record, name)


def millisecond_in(record: Record, name: str) -> datetime:
    """Milliseconds since 1970."""
    try:
        return datetime.fromtimestamp(int(text_in(record, name)) / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Unclear(f"The mail service gave no time as {name} in its answer") from error
