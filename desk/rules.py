"""What follows from what is known: urgency floors, due times, the score, the next step. Pure.

Rules may only raise the urgency that triage found: no words in a mail can lower it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from desk.classification import Classification, Label, Urgency
from desk.email import Kind
from desk.errors import Misconfigured
from desk.ids import ResponseId
from desk.response import Response, ResponseState
from desk.steps import Step
from desk.ticket import Ticket, TicketState

MAX_REASONS = 3
RULE_TEXT_LIMIT = 20_000
GUESS = 0.6
"""Below this confidence an unsure urgency is a guess."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A mail in which one of ``patterns`` occurs is at least this urgent."""

    name: str
    urgency: Urgency
    patterns: tuple[re.Pattern[str], ...]


def read_rules(text: str) -> tuple[Rule, ...]:
    """Rules from TOML: ``[[rule]]`` tables with name, urgency and a list ``any`` of regular
    expressions. Raises Misconfigured naming the rule that is wrong."""
    try:
        tables = tomllib.loads(text).get("rule", [])
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"The rules are not valid TOML: {error}") from error
    return tuple(_rule(table, number) for number, table in enumerate(tables, 1))


def _rule(table: Mapping[str, object], number: int) -> Rule:
    name = str(table.get("name", f"number {number}"))
    patterns = table.get("any")
    try:
        if not isinstance(patterns, list) or not patterns:
            raise ValueError("it needs a list 'any' of expressions")
        compiled = tuple(re.compile(str(pattern), re.IGNORECASE) for pattern in patterns)
        return Rule(name, Urgency(str(table.get("urgency"))), compiled)
    except (ValueError, re.error) as error:
        raise Misconfigured(f"The rule {name!r} is wrong: {error}") from error


def floor(text: str, rules: Iterable[Rule]) -> tuple[Urgency, tuple[str, ...]]:
    """The highest urgency that a rule demands, and the words that were found, quoted, the most
    urgent first."""
    hits = [
        (rule.urgency, " ".join(match.group().split()))
        for rule in rules
        for match in [_first(rule.patterns, text[:RULE_TEXT_LIMIT])]
        if match
    ]
    if not hits:
        return Urgency.LOW, ()
    hits.sort(key=lambda hit: -hit[0].rank)
    words = dict.fromkeys(words for _, words in hits)
    return hits[0][0], tuple(f"“{word}”" for word in words)[:MAX_REASONS]


def _first(patterns: Sequence[re.Pattern[str]], text: str) -> re.Match[str] | None:
    return next((match for pattern in patterns if (match := pattern.search(text))), None)


def tempered(known: Classification) -> Classification:
    """A mere guess does not make a mail critical: then everybody would be told of newsletters. It
    counts as high, unless a rule finds more."""
    urgency = known.urgency
    is_guess = "urgency" in known.unsure and urgency.confidence < GUESS
    if urgency.label is not Urgency.CRITICAL or not is_guess:
        return known
    return replace(known, urgency=Label(Urgency.HIGH, urgency.confidence))


def raised(
    known: Classification, text: str, kind: Kind, unanswered: int, rules: Iterable[Rule]
) -> Classification:
    """The classification with its urgency raised to what the rules demand.

    ``unanswered`` counts the customer's mails since our last reply, this one included. Automatic
    mail is never raised: it repeats our own words.
    """
    if kind not in (Kind.PERSON, Kind.ENCRYPTED, Kind.LIST):
        return known
    least, reasons = floor(text, rules)
    if unanswered >= 3:
        reasons = (*reasons, f"{_ordinal(unanswered)} mail without an answer")
        least = max(least, Urgency.HIGH, key=lambda urgency: urgency.rank)
    if least.rank < known.urgency.label.rank:
        return known
    if least is known.urgency.label:
        return replace(known, reasons=(*known.reasons, *reasons))
    unsure = tuple(part for part in known.unsure if part != "urgency")
    urgency = Label(least, 1.0)
    return replace(known, urgency=urgency, reasons=(*known.reasons, *reasons), unsure=unsure)


def _ordinal(number: int) -> str:
    return {3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}th")


@dataclass(frozen=True, slots=True)
class Job:
    """A step to run, lowest ``score`` first. One that ``is_urgent`` may take a reserved slot."""

    step: Step
    id: int
    score: float
    not_before: datetime | None = None
    is_urgent: bool = field(kw_only=True)


def job_for(
    ticket: Ticket, step: Step, id: int | None = None, not_before: datetime | None = None
) -> Job:
    """A step for a ticket, or for what ``id`` names of it, with the ticket's rank."""
    target = ticket.id if id is None else id
    return Job(step, target, ticket.score, not_before, is_urgent=ticket.urgency.is_urgent)


def jobs(ticket: Ticket, response: Response | None) -> list[Job]:
    """What should be queued for a ticket now: it follows from the states alone, so that a sweep
    can always put back what was lost."""
    wanted = []
    if ticket.state is TicketState.NEW:
        wanted.append(job_for(ticket, Step.TRIAGE))
    if ticket.state is TicketState.TRIAGED:
        wanted.append(job_for(ticket, Step.DRAFTING))
    if response and response.state in (
        ResponseState.APPROVED,
        ResponseState.SENDING,
        ResponseState.UNKNOWN,
    ):
        wanted.append(job_for(ticket, Step.SENDING, response.id, response.send_after))
    if response and looks_for_earlier(response):
        wanted.append(job_for(ticket, Step.SENDING, response.id))
    is_underway = ticket.state in (TicketState.NEW, TicketState.TRIAGED)
    was_shown = ticket.shown_version > 0
    # one that was never shown waits for its draft; one that was must not keep its old buttons
    if ticket.shown_version < ticket.version and (was_shown or not is_underway):
        wanted.append(job_for(ticket, Step.SHOW))
    return wanted


LEFT_BEFORE = "left before"
"""The finding that an earlier version of a draft was found in the sent mail."""


def looks_for_earlier(response: Response) -> bool:
    """Whether versions that may have left are still to be looked for in the sent mail: those of a
    draft, and of what is approved again, until one was found."""
    is_open = response.state in (ResponseState.DRAFT, ResponseState.APPROVED)
    was_found = any(finding.check == LEFT_BEFORE for finding in response.draft.findings)
    return is_open and bool(response.earlier_ids) and not was_found


def message_id(response: Response, domain: str) -> str:
    """The Message-ID of an approval: stored before it is used, so that a reply that may have left
    can be looked for. It names the response and the content that was approved."""
    return f"<maildesk.{response.id}.{response.version}.{response.hash[:16]}@{domain}>"


def response_of(message_id: str) -> ResponseId | None:
    """The response that a Message-ID of ours names.

    >>> response_of("<maildesk.12.3.9f2c@lanewright.example>"), response_of("<1@x.example>")
    (12, None)
    """
    match = re.match(r"<maildesk\.(\d{1,12})\.\d+\.\w+@", message_id)
    return ResponseId(int(match[1])) if match else None


def is_covered_by(response: Response, message_id: str) -> bool:
    """Whether the content is still the one that was approved under this Message-ID."""
    return f".{response.hash[:16]}@" in message_id
