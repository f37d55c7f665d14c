"""What a button of an Adaptive Card carries, and what comes back when it is pressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.card import Card
from desk.action import ActionRequest, Seen
from desk.errors import Refused
from desk.ids import ResponseId, TicketId
from desk.moves import Verb
from desk.people import User

SAVE_AND_SEND = "edit_send"
"""The verb on the second button of Edit: EDIT, then send what was saved."""


@dataclass(frozen=True, slots=True)
class Press:
    """What the data of a pressed button says; rights are not among it."""

    verb: Verb
    ticket_id: TicketId
    seen: Seen | None
    text: str = ""
    confirmed: bool = False
    then_send: bool = False

    def request(self, key: str, user: User) -> ActionRequest:
        return ActionRequest(
            key,
            user,
            self.verb,
            self.ticket_id,
            self.seen,
            self.text,
            self.confirmed,
            self.then_send,
        )


def press_data(card: Card, verb: str, confirmed: bool, text: str = "") -> dict[str, object]:
    """What the card showed: ticket, response, its version and hash; and what goes along."""
    seen = card.seen
    typed = {input_id(Verb(verb), seen): text} if text else {}
    return typed | {
        "t": card.ticket_id,
        "r": seen.id if seen else None,
        "v": seen.version if seen else None,
        "h": seen.hash if seen else None,
        "verb": str(verb),
        "confirmed": confirmed,
    }


def read_press(data: Mapping[str, object]) -> Press:
    """What ``draw`` put into a button, back out of its data; Refused when it is anything else."""
    try:
        name = str(data["verb"])
        verb = Verb.EDIT if name == SAVE_AND_SEND else Verb(name)
        ticket_id = TicketId(_number(data["t"]))
        seen = None
        if data.get("r") is not None:
            seen = Seen(ResponseId(_number(data["r"])), _number(data["v"]), str(data["h"]))
    except (KeyError, ValueError):
        raise Refused("This button is not one of ours any more: open the ticket anew") from None
    text = data.get(input_id(verb, seen)) or ""
    return Press(
        verb,
        ticket_id,
        seen,
        text if isinstance(text, str) else "",
        confirmed=data.get("confirmed") is True,
        then_send=name == SAVE_AND_SEND,
    )


def _number(value: object) -> int:
    if isinstance(value, int) and 0 < value < 1 << 63:
        return int(value)
    raise ValueError("not a number of ours")


def input_id(verb: Verb, seen: Seen | None) -> str:
    """Another one for another draft: clients keep what was typed by the id of its field."""
    return f"{verb}_{seen.id}_{seen.version}" if seen else str(verb)
