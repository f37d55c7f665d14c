"""What people do in Slack, read from its payloads into our words. Nonsense is None, never an error.

Payloads: https://docs.slack.dev/reference/interaction-payloads
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.payload import Payload, part, text_at
from desk.action import Seen
from desk.ids import ResponseId, TicketId
from desk.moves import Verb

CARRIED = re.compile(
    r"(?P<verb>[a-z_]{1,20}):(?P<ticket>\d{1,12})"
    r"(?::(?P<response>\d{1,12}):(?P<version>\d{1,9}):(?P<hash>[0-9a-f]{64}))?(?P<yes>:yes)?"
    r"(?:=(?P<text>[a-z0-9]{1,20}))?"
)
TICKED = "yes"
MENTION = re.compile(r"<@\w+(?:\|[^>]*)?>")
LINK = re.compile(r"<(?:mailto:|https?:)[^|>]*\|([^>]*)>|<(https?:[^|>]*)>")
"""What Slack makes of an address that somebody types."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a button carries: what to do to which ticket, what its card showed, and what was chosen.
    No rights."""

    verb: Verb
    ticket_id: TicketId
    seen: Seen | None = None
    confirmed: bool = False
    text: str = ""

    def __str__(self) -> str:
        seen = self.seen
        chosen = f"={self.text}" if self.text else ""
        shown = f":{seen.id}:{seen.version}:{seen.hash}" if seen else ""
        return f"{self.verb}:{self.ticket_id}{shown}{':yes' if self.confirmed else ''}{chosen}"


def read_carried(value: object) -> Carried | None:
    found = CARRIED.fullmatch(value) if isinstance(value, str) else None
    if found is None or found["verb"] not in set(Verb):
        return None
    seen = None
    if found["response"]:
        seen = Seen(ResponseId(int(found["response"])), int(found["version"]), found["hash"])
    verb, ticket = Verb(found["verb"]), TicketId(int(found["ticket"]))
    return Carried(verb, ticket, seen, bool(found["yes"]), found["text"] or "")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and the ways to answer that person alone."""

    user: str
    channel: str = ""
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class Click:
    """A button or a choice behind More. ``message`` is the timestamp of the card's message;
    ``view`` is set when the button is in a modal."""

    key: str
    asker: Asker
    carried: Carried | None
    trigger: str
    message: str
    is_ephemeral: bool
    view: Payload


@dataclass(frozen=True, slots=True)
class Line:
    """A typed command. ``key`` is the same when Slack delivers it twice."""

    key: str
    asker: Asker
    text: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A modal that was submitted: ``values`` by block id, ticks as ``TICKED``."""

    key: str
    asker: Asker
    view_id: str
    metadata: str
    values: Mapping[str, str]


def read_asker(body: Payload) -> Asker:
    channel = text_at(body, "channel", "id") or text_at(body, "container", "channel_id")
    return Asker(text_at(body, "user", "id"), channel, text_at(body, "response_url"))


def read_click(body: Payload) -> Click:
    actions = body.get("actions")
    first = actions[0] if isinstance(actions, list) and actions else {}
    asker = read_asker(body)
    when, name = text_at(first, "action_ts"), text_at(first, "action_id")
    value = text_at(first, "value") or text_at(first, "selected_option", "value")
    return Click(
        key=f"slack:{asker.user}:{when}:{name}:{value[:40]}",
        asker=asker,
        carried=read_carried(value),
        trigger=text_at(body, "trigger_id"),
        message=text_at(body, "container", "message_ts"),
        is_ephemeral=part(body, "container").get("is_ephemeral") is True,
        view=part(body, "view"),
    )


def read_line(body: Payload) -> Line:
    """From a slash command (https://docs.slack.dev/interactivity/implementing-slash-commands)."""
    user, channel = text_at(body, "user_id"), text_at(body, "channel_id")
    asker = Asker(user, channel, text_at(body, "response_url"))
    return Line(f"slack:{user}:{text_at(body, 'trigger_id')}", asker, text_at(body, "text"))


def read_mention(body: Payload) -> Line:
    """From an ``app_mention`` event."""
    event = part(body, "event")
    asker = Asker(text_at(event, "user"), text_at(event, "channel"))
    text = LINK.sub(r"\1\2", MENTION.sub(" ", text_at(event, "text")))
    return Line(f"slack:{text_at(body, 'event_id')}", asker, html.unescape(text).strip())


def read_submission(body: Payload) -> Submission:
    view = part(body, "view")
    id, hash = text_at(view, "id"), text_at(view, "hash")
    return Submission(
        key=f"slack:{id}:{hash}",
        asker=read_asker(body),
        view_id=id,
        metadata=text_at(view, "private_metadata"),
        values=read_values(view),
    )


def read_values(view: Payload) -> dict[str, str]:
    """What is typed and ticked in a modal now, by block id."""
    blocks = part(part(view, "state"), "values")
    return {
        str(id): _value(element)
        for id, elements in blocks.items()
        if isinstance(elements, Mapping)
        for element in elements.values()
    }


def _value(element: object) -> str:
    ticked = element.get("selected_options") if isinstance(element, Mapping) else None
    return TICKED if ticked else text_at(element, "value")
