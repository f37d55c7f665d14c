"""Forms from opening to saving. A form opens within Slack's three seconds and is acknowledged
within one, however slow the database is; what is typed is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.payload import text_at
from bot.slack.follow import Follow
from bot.slack.modal import (
    LONGEST,
    REPLY,
    Form,
    View,
    digest,
    edit_view,
    fields,
    initial_fields,
    instruction_view,
    is_ticked,
    notice_view,
    read_form,
    split,
    typed_text,
)
from bot.slack.people import People
from bot.slack.post import translated
from bot.slack.read_action import Click, Submission, read_values
from desk import access
from desk.action import ActionRequest, Outcome, Result, Seen
from desk.actions import Actions
from desk.errors import DeskError, Permanent, Refused, Transient
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import User
from desk.replies import is_editable
from desk.response import Response
from desk.standing import standing
from desk.store import Store
from desk.ticket_view import TicketView

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

PATIENCE = 0.6
"""Seconds that an acknowledgement waits for the database, so that the answer can be in it."""
ASKS = "What should the new draft do differently?"
KEPT = "Your text is kept here."


@dataclass(frozen=True, slots=True)
class Forms:
    client: AsyncWebClient
    people: People
    store: Store
    actions: Actions
    follow: Follow
    patience: float = PATIENCE

    async def open(self, click: Click) -> None:
        """Open the form that a button asks for. Refused is for the person."""
        drawing = asyncio.ensure_future(self._drawn(click))
        await asyncio.wait({drawing}, timeout=self.patience)
        if drawing.done():
            view = drawing.result()
            view_id = await self._open(click, view)
        else:
            view_id = await self._open(click, notice_view("One moment…"))
            view = await self._or_notice(drawing)
            await self._update(view_id, view)
        if view.get("callback_id") == REPLY:
            await self._start(click, view_id, view)

    async def _drawn(self, click: Click) -> View:
        carried = click.carried
        if carried is None:
            raise Refused("I do not understand this button: type the command show with its number")
        user = await self.people.user(click.asker.user)
        access.check(user, carried.verb)
        view = await access.ticket(self.store, user, carried.ticket_id)
        if carried.verb is Verb.REGENERATE:
            return instruction_view(carried, ASKS)
        response = _editable(view)
        # whatever the card showed, the form shows the draft as it is now
        form = Form(replace(carried, seen=_seen(response), verb=Verb.EDIT), _headline(view))
        return edit_view(*split(form, response.envelope.text))

    async def _start(self, click: Click, view_id: str, view: View) -> None:
        """The form is there; now everybody else may see who is editing."""
        form = read_form(view["private_metadata"])
        if form is None:
            return
        user = await self.people.user(click.asker.user)
        outcome = await self._begin(f"{click.key}:start", user, form.carried.ticket_id)
        if outcome.result is Result.CONFIRM:
            current = await access.ticket(self.store, user, form.carried.ticket_id)
            notice = standing(current) or outcome.note
            view = edit_view(form, initial_fields(view), notice=notice, takes_over=True)
            await self._update(view_id, view)

    async def take_over(self, click: Click) -> None:
        form = read_form(text_at(click.view, "private_metadata"))
        if form is None:
            return
        user = await self.people.user(click.asker.user)
        await self._begin(click.key, user, form.carried.ticket_id, confirmed=True)
        values = read_values(click.view)
        view = edit_view(form, fields(form, values), sends=is_ticked(form, values))
        await self._update(text_at(click.view, "id"), view)

    async def _begin(
        self, key: str, user: User, id: TicketId, *, confirmed: bool = False
    ) -> Outcome:
        request = ActionRequest(key, user, Verb.START_EDIT, id, confirmed=confirmed)
        outcome = await self.actions.act(request)
        if outcome.result is Result.DONE:
            self.follow.soon(id)
        return outcome

    # -- submitted

    async def save(self, sent: Submission, form: Form, ack: Any) -> None:
        """Save (and send) the reply, or draw the form anew with what is in the way."""
        text = typed_text(form, sent.values)
        saving = asyncio.ensure_future(self._saved(sent, form, text))
        await self._answer(sent, ack, saving, notice_view("Saving…", text))

    async def _saved(self, sent: Submission, form: Form, text: str) -> View | None:
        """What the form shows next; None closes it."""
        sends = is_ticked(form, sent.values)
        try:
            user = await self.people.user(sent.asker.user)
            outcome = await self.actions.act(
                ActionRequest(
                    key=sent.key,
                    user=user,
                    verb=Verb.EDIT,
                    ticket_id=form.carried.ticket_id,
                    seen=form.carried.seen,
                    text=text,
                    confirmed=form.asked == digest(text),
                    then_send=sends,
                )
            )
            if outcome.result in (Result.DONE, Result.DUPLICATE):
                self.follow.soon(form.carried.ticket_id)
                return None
            return await self._in_the_way(user, form, text, outcome, sends=sends)
        except DeskError as error:
            notice = f"{_sentence(error)} {KEPT}"
            return edit_view(*split(form, text), notice=notice, sends=sends)

    async def _in_the_way(
        self, user: User, form: Form, text: str, outcome: Outcome, *, sends: bool
    ) -> View:
        if outcome.result is Result.CONFIRM:
            notice = f"{outcome.note} Nothing was saved yet: Save again to send it anyway."
            asked = replace(form, asked=digest(text))
            return edit_view(*split(asked, text), notice=notice, sends=sends)
        view = await access.ticket(self.store, user, form.carried.ticket_id)
        response = view.response
        if response is None or not is_editable(view.ticket, response):
            return notice_view(f"{outcome.note}. Nothing was saved.", text)
        if _seen(response) == form.carried.seen:
            return edit_view(*split(form, text), notice=outcome.note, sends=sends)
        now = replace(form, carried=replace(form.carried, seen=_seen(response)), asked="")
        notice = (
            f"Somebody changed the draft meanwhile. {KEPT} Save puts it in the place of theirs."
        )
        return edit_view(*split(now, text), notice=notice, theirs=response.envelope.text)

    async def instruct(self, sent: Submission, form: Form, ack: Any) -> None:
        """Regenerate the draft."""
        text = sent.values.get("instruction", "")
        asking = asyncio.ensure_future(self._instructed(sent, form, text))
        await self._answer(sent, ack, asking, notice_view("One moment…", text))

    async def _instructed(self, sent: Submission, form: Form, text: str) -> View | None:
        carried = form.carried
        try:
            user = await self.people.user(sent.asker.user)
            request = ActionRequest(
                sent.key,
                user,
                Verb.REGENERATE,
                carried.ticket_id,
                carried.seen,
                text,
                carried.confirmed,
            )
            outcome = await self.actions.act(request)
        except DeskError as error:
            return instruction_view(carried, ASKS, text, _sentence(error))
        if outcome.result is Result.CONFIRM:
            notice = f"{outcome.note} Regenerate again to do so."
            return instruction_view(replace(carried, confirmed=True), ASKS, text, notice)
        if outcome.result is Result.REFUSED:
            return notice_view(outcome.note, text)
        self.follow.soon(carried.ticket_id)
        return None

    async def _answer(
        self, sent: Submission, ack: Any, work: Awaitable[View | None], meanwhile: View
    ) -> None:
        """Acknowledge with the outcome when it is there in time; else with ``meanwhile``, and draw
        the outcome when it comes."""
        task = asyncio.ensure_future(work)
        await asyncio.wait({task}, timeout=self.patience)
        if task.done():
            view = task.result()
            await (ack(response_action="update", view=view) if view else ack())
            return
        await ack(response_action="update", view=meanwhile)
        await self._update(sent.view_id, await task or notice_view("Done."))

    # -- Slack

    async def _open(self, click: Click, view: View) -> str:
        with translated():
            answer = await self.client.views_open(trigger_id=click.trigger, view=view)
        return str((answer.get("view") or {}).get("id") or "")

    async def _update(self, view_id: str, view: View) -> None:
        with translated():
            await self.client.views_update(view_id=view_id, view=view)

    async def _or_notice(self, drawing: asyncio.Future[View]) -> View:
        try:
            return await drawing
        except DeskError as error:
            return notice_view(_sentence(error))


def _sentence(error: DeskError) -> str:
    if isinstance(error, Refused | Permanent):
        return f"{error}."
    if isinstance(error, Transient):
        return "The desk cannot reach its records just now: try again in a moment."
    return str(error)


def _editable(view: TicketView) -> Response:
    response = view.response
    if response is None or not is_editable(view.ticket, response):
        raise Refused(standing(view) or "There is no draft to edit")
    if len(response.envelope.text) > LONGEST:
        raise Refused("This reply is too long for a form in Slack: edit it in the console")
    return response


def _seen(response: Response) -> Seen:
    return Seen(response.id, response.version, response.hash)


def _headline(view: TicketView) -> str:
    """Who gets it, and about what."""
    response = view.response
    to = ", ".join(map(str, response.envelope.to)) if response else ""
    subject = response.envelope.subject if response else ""
    return f"To {to[:200]} · {subject[:150]}"
