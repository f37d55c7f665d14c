"""Everything that moves a ticket or its response, and the two tables of moves."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from desk.response import ResponseState
from desk.ticket import TicketState


class Verb(StrEnum):
    """Everything that moves a ticket or its response, whoever does it."""

    # what a person does on a card or by a command
    APPROVE = "approve"
    START_EDIT = "start_edit"
    EDIT = "edit"
    CLAIM = "claim"
    RELEASE = "release"
    REJECT = "reject"
    REGENERATE = "regenerate"
    UNDO = "undo"
    CLOSE = "close"
    SEND_AGAIN = "send_again"
    MARK_SENT = "mark_sent"
    ATTACH = "attach"
    DETACH = "detach"
    ACKNOWLEDGE = "acknowledge"
    TAKE = "take"
    ASSIGN = "assign"
    SNOOZE = "snooze"
    WAKE = "wake"
    # what moves a ticket in the queue
    BUMP = "bump"
    VIP = "vip"
    CORRECT = "correct"
    # what a manager decides about a job that was given up
    REQUEUE = "requeue"
    DISCARD = "discard"
    # what the desk does itself
    RECEIVE = "receive"
    RESEND = "resend"
    BOUNCE = "bounce"
    ANSWER = "answer"
    TRIAGE = "triage"
    ESCALATE = "escalate"
    DRAFT = "draft"
    GIVE_UP = "give_up"
    RANK = "rank"
    RETIRE = "retire"
    SEND = "send"
    DEFER = "defer"
    DELIVER = "deliver"
    FAIL = "fail"
    LOSE = "lose"
    LOOK = "look"
    FIND = "find"


T, R, V = TicketState, ResponseState, Verb

TICKET_MOVES = MappingProxyType(
    {
        (T.NEW, V.TRIAGE): T.TRIAGED,
        (T.TRIAGED, V.DRAFT): T.OPEN,
        # neither triage nor a draft could be had: a person sees the mail as it is
        (T.NEW, V.GIVE_UP): T.OPEN,
        (T.TRIAGED, V.GIVE_UP): T.OPEN,
        (T.OPEN, V.REGENERATE): T.TRIAGED,
        (T.OPEN, V.REQUEUE): T.NEW,
        (T.SNOOZED, V.REQUEUE): T.NEW,
        (T.OPEN, V.DELIVER): T.WAITING,
        (T.OPEN, V.CLOSE): T.CLOSED,
        (T.OPEN, V.SNOOZE): T.SNOOZED,
        # again, until another time
        (T.SNOOZED, V.SNOOZE): T.SNOOZED,
        (T.SNOOZED, V.WAKE): T.OPEN,
        (T.SNOOZED, V.REGENERATE): T.TRIAGED,
        (T.SNOOZED, V.DELIVER): T.WAITING,
        (T.SNOOZED, V.CLOSE): T.CLOSED,
        (T.WAITING, V.CLOSE): T.CLOSED,
        # a person answered from another mail client
        **{(state, V.ANSWER): T.WAITING for state in (T.NEW, T.TRIAGED, T.OPEN, T.SNOOZED)},
        # our reply came back: somebody has to reach the customer otherwise
        **{(state, V.BOUNCE): T.OPEN for state in (T.OPEN, T.SNOOZED, T.WAITING, T.CLOSED)},
        # the customer wrote (again): it is read and drafted afresh from any state
        **{(state, V.RECEIVE): T.NEW for state in T},
    }
)

RESPONSE_MOVES = MappingProxyType(
    {
        (R.DRAFT, V.EDIT): R.DRAFT,
        (R.DRAFT, V.ATTACH): R.DRAFT,
        (R.DRAFT, V.DETACH): R.DRAFT,
        (R.DRAFT, V.APPROVE): R.APPROVED,
        (R.DRAFT, V.REJECT): R.RETIRED,
        (R.DRAFT, V.REGENERATE): R.RETIRED,
        (R.DRAFT, V.RETIRE): R.RETIRED,
        (R.APPROVED, V.UNDO): R.DRAFT,
        (R.APPROVED, V.RETIRE): R.RETIRED,
        (R.APPROVED, V.SEND): R.SENDING,
        (R.APPROVED, V.FAIL): R.FAILED,
        (R.APPROVED, V.DEFER): R.APPROVED,
        (R.SENDING, V.DEFER): R.APPROVED,
        (R.SENDING, V.DELIVER): R.SENT,
        (R.SENDING, V.FAIL): R.FAILED,
        (R.SENDING, V.LOSE): R.UNKNOWN,
        (R.UNKNOWN, V.LOOK): R.UNKNOWN,
        (R.UNKNOWN, V.DELIVER): R.SENT,
        (R.UNKNOWN, V.MARK_SENT): R.SENT,
        (R.UNKNOWN, V.SEND_AGAIN): R.DRAFT,
        # an earlier version, of which nobody knew whether it had left, is in the sent mail: with
        # the same words that is all, with others a person decides
        (R.DRAFT, V.DELIVER): R.SENT,
        (R.APPROVED, V.DELIVER): R.SENT,
        (R.DRAFT, V.FIND): R.DRAFT,
        (R.APPROVED, V.FIND): R.DRAFT,
        (R.FAILED, V.EDIT): R.DRAFT,
        (R.FAILED, V.RETIRE): R.RETIRED,
        (R.FAILED, V.SEND_AGAIN): R.DRAFT,
        # a person writes the reply after all
        (R.RETIRED, V.EDIT): R.DRAFT,
    }
)
