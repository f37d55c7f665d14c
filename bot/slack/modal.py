"""The forms a person fills in: editing a reply, regenerating a draft. Drawn as Slack's views
(https://docs.slack.dev/reference/views/modal-views), and read back from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from bot.buttons import reply_label
from bot.slack.draw import HEAD, Block, beside, block_of, context, label, literal, section
from bot.slack.read_action import TICKED, Carried, read_carried
from bot.slack.text import INPUT, MODAL_TITLE, PIECE, mrkdwn, pieces, plain
from desk.moves import Verb

View = dict[str, Any]

REPLY, INSTRUCTION = "edit", "regenerate"
"""callback_ids."""
LONGEST = 30_000
"""Characters of a reply that is edited in Slack: a view may have 250 kB of JSON."""
ROOM = 2400
"""Characters of a long reply in one field: below INPUT, so that one can write on in each."""
MAX_INSTRUCTION = 500


@dataclass(frozen=True, slots=True)
class Form:
    """What an edit form remembers while it is open. ``head`` says whose mail is answered;
    ``joints`` is the white space between its fields; ``revision`` names the fields anew when their
    content is set by us, for Slack keeps what is typed in a field of the same name. ``asked`` is
    the digest of the text whose blocking findings the person has been shown."""

    carried: Carried
    head: str = ""
    joints: tuple[str, ...] = ()
    revision: int = 0
    asked: str = ""

    def __str__(self) -> str:
        """The view's private_metadata."""
        told = [str(self.carried), self.head, self.joints, self.revision, self.asked]
        return orjson.dumps(told).decode()


def read_form(metadata: str) -> Form | None:
    try:
        carried, head, joints, revision, asked = orjson.loads(metadata)
        known = read_carried(carried)
        return Form(known, str(head), tuple(joints), int(revision), asked) if known else None
    except (ValueError, TypeError):
        return None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def split(form: Form, text: str) -> tuple[Form, list[str]]:
    """The form with fields for this text, and what is in them."""
    parts = pieces(text, ROOM) if len(text) > INPUT else [(text, "")]
    # a long run of blank lines is not worth remembering
    joints = tuple(joint if len(joint) <= 4 else "\n\n" for _, joint in parts)
    return replace(form, joints=joints, revision=form.revision + 1), [part for part, _ in parts]


def fields(form: Form, values: Mapping[str, str]) -> list[str]:
    """What is typed in each field."""
    return [values.get(_field(form, i), "") for i in range(len(form.joints))]


def initial_fields(view: View) -> list[str]:
    """What is in each field of a view as we drew it."""
    elements = [b["element"] for b in view["blocks"] if b.get("block_id", "").startswith("reply.")]
    return [str(element.get("initial_value", "")) for element in elements]


def typed_text(form: Form, values: Mapping[str, str]) -> str:
    typed = fields(form, values)
    joined = "".join(part + joint for part, joint in zip(typed, form.joints, strict=True))
    return joined.strip()


def is_ticked(form: Form, values: Mapping[str, str]) -> bool:
    return values.get(_tick(form)) == TICKED


def first_field(form: Form) -> str:
    return _field(form, 0)


def _field(form: Form, number: int) -> str:
    return f"reply.{form.revision}.{number}"


def _tick(form: Form) -> str:
    return f"send.{form.revision}"


def edit_view(
    form: Form,
    parts: Sequence[str],
    *,
    notice: str = "",
    theirs: str = "",
    takes_over: bool = False,
    sends: bool = False,
) -> View:
    """The reply in a field (several when it is long). ``notice`` says what happened since;
    ``theirs`` is the draft of somebody who was faster; ``takes_over`` offers to push the other
    editor aside; ``sends`` ticks the box."""
    blocks: list[Block] = [section(f":warning: {mrkdwn(notice)}")] if notice else []
    if takes_over:
        blocks.append({"type": "actions", "elements": [_take_over(form.carried)]})
    if theirs:
        blocks += [context("*The draft as it is now*"), *words(theirs)]
    blocks += [beside("", plain(form.head, HEAD))] if form.head else []
    blocks += [_input(form, i, part, len(parts)) for i, part in enumerate(parts)]
    blocks.append(_send_box(form, sends))
    return {
        **_modal(f"Reply to #{form.carried.ticket_id}", blocks),
        "callback_id": REPLY,
        "submit": label("Save"),
        "private_metadata": str(form),
    }


def _input(form: Form, number: int, text: str, count: int) -> Block:
    element = {
        "type": "plain_text_input",
        "action_id": "text",
        "multiline": True,
        "max_length": INPUT,
        **({"initial_value": text} if text else {}),
    }
    name = "Your reply" if count == 1 else f"Your reply, part {number + 1} of {count}"
    named = label(reply_label(text, name))
    made = {"type": "input", "block_id": _field(form, number), "label": named}
    # one part of several may be emptied
    return {**made, "element": element, "optional": count > 1}


def _send_box(form: Form, is_ticked: bool) -> Block:
    option = {
        "text": label("Send it at once"),
        "description": label("Otherwise it is only saved, and leaves when somebody approves it"),
        "value": "send",
    }
    element = {"type": "checkboxes", "action_id": "send", "options": [option]}
    if is_ticked:
        element["initial_options"] = [option]
    return {
        "type": "input",
        "block_id": _tick(form),
        "optional": True,
        "label": label("When"),
        "element": element,
    }


def _take_over(carried: Carried) -> Block:
    value = Carried(Verb.START_EDIT, carried.ticket_id, carried.seen, confirmed=True)
    return {
        "type": "button",
        "action_id": "form.take_over",
        "text": label("Take over"),
        "value": str(value),
    }


def instruction_view(carried: Carried, question: str, text: str = "", notice: str = "") -> View:
    """Asks what the next draft should do differently."""
    element = {
        "type": "plain_text_input",
        "action_id": "text",
        "multiline": True,
        "max_length": MAX_INSTRUCTION,
        **({"initial_value": text} if text else {}),
    }
    blocks: list[Block] = [section(f":warning: {mrkdwn(notice)}")] if notice else []
    made = {"type": "input", "block_id": "instruction", "optional": True}
    blocks.append({**made, "label": label(question), "element": element})
    return {
        **_modal(f"Regenerate draft #{carried.ticket_id}", blocks),
        "callback_id": INSTRUCTION,
        "submit": label("Regenerate"),
        "private_metadata": str(Form(carried)),
    }


def notice_view(notice: str, text: str = "") -> View:
    """Says something, and keeps what was typed where it can be copied."""
    blocks = [section(mrkdwn(notice))]
    if text:
        blocks += [context("*What you typed*"), *words(text)]
    return _modal("Maildesk", blocks)


def words(text: str) -> list[Block]:
    """A long text word for word."""
    whole = plain(text, LONGEST)
    return [block_of(literal(part)) for part, _ in pieces(whole, PIECE) if part]


def _modal(title: str, blocks: list[Block]) -> View:
    return {
        "type": "modal",
        "title": literal(plain(title, MODAL_TITLE)),
        "close": label("Close"),
        "blocks": blocks,
    }
