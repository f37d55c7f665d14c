"""What pages of Gmail's history name, and where in them one goes on; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mail.record import Record, any_records_in, any_words_in, number_in, record_in, text_in


@dataclass(frozen=True, slots=True)
class Found:
    """A message that the history or a list names. ``record`` is its history record."""

    id: str
    labels: frozenset[str] = frozenset()
    record: str = ""


def named(answer: Record) -> Iterator[Found]:
    """The messages of a page of the history that may be mail to us or from us."""
    for record in any_records_in(answer, "history"):
        changes = [*any_records_in(record, "messagesAdded"), *any_records_in(record, "labelsAdded")]
        for change in changes:
            message = record_in(change, "message")
            labels = any_words_in(change, "labelIds") or any_words_in(message, "labelIds")
            if not labels or labels & {"INBOX", "SENT"}:
                yield Found(text_in(message, "id"), labels, number_in(record, "id"))


def after(found: Sequence[Found], id: str) -> int:
    """Where to go on after the message ``id``; at the start when it is gone."""
    return next((n + 1 for n, one in enumerate(found) if one.id == id), 0) if id else 0


def before(found: Sequence[Found], last: Found, start: str) -> str:
    """The history record before that of ``last``: what follows it begins with ``last``'s own."""
    earlier = start
    for one in found:
        if one.record == last.record:
            return earlier
        earlier = one.record
    return earlier
