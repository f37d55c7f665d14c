"""Editing a reply and asking for another draft in Slack: what is typed is never lost."""

from __future__ import annotations

from desk.moves import Verb
from desk.response import ResponseState
from desk.ticket import TicketState
from tests.doubles.slack_office import Office, was_taken
from tests.doubles.slack_user import words
from tests.doubles.waiting import happens


async def test_edit_opens_with_the_draft_and_everybody_sees_who_edits(office: Office) -> None:
    ts = await office.show()
    assert was_taken(await office.ann.click(office.channel, ts, "Edit"))
    await office.until("Ann is editing")
    view = office.ann.opened()
    field = next(b for b in view["blocks"] if b["type"] == "input")
    assert field["element"]["initial_value"] == "Hello Priya, we are on it."
    assert "To Priya Nair <priya@lindqvist.example>" in words(view["blocks"])


async def test_saved_is_not_sent(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    answer = await office.ann.submit("Hello Priya,\n\nit works again.")
    assert was_taken(answer)
    assert answer.text == ""
    assert "edited by Ann" in await office.until("it works again.")
    assert (await office.response()).state is ResponseState.DRAFT


async def test_saved_and_sent_when_ticked(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    await office.ann.submit("It works again.", ticks=True)
    await office.until("Approved by Ann")
    assert (await office.response()).envelope.text == "It works again."


async def test_a_form_that_nobody_understands_any_more_keeps_what_was_typed(
    office: Office,
) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    sent = office.ann.submission("Do not lose me.", ticks=True)
    sent["view"]["private_metadata"] = "of an older version"
    shown = words((await office.ann.interact(sent)).body["view"]["blocks"])
    assert "I do not understand this form any more" in shown
    assert shown.endswith("Do not lose me.")


async def test_empty_reply_is_refused_in_the_form(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    answer = await office.ann.submit("  ")
    assert answer.body["response_action"] == "errors"
    assert "The reply is empty" in answer.body["errors"]["reply.1.0"]


async def test_blocking_text_is_sent_only_after_a_second_look_at_that_very_text(
    office: Office,
) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    answer = await office.ann.submit("Our IBAN is DE00.", ticks=True)
    assert "It tells an IBAN." in words(answer.body["view"]["blocks"])
    changed = await office.ann.submit("Our other IBAN is DE11.", ticks=True)
    assert "It tells an IBAN." in words(changed.body["view"]["blocks"])
    assert (await office.response()).envelope.text == "Hello Priya, we are on it."
    assert (await office.ann.submit(ticks=True)).text == ""
    assert (await office.response()).envelope.text == "Our other IBAN is DE11."
    assert (await office.response()).state is ResponseState.APPROVED


async def test_text_typed_too_late_is_kept_and_may_replace_the_faster_one(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    await office.omar.click(office.channel, ts, "Edit")
    await office.opened(2)
    office.omar.opened()
    await office.omar.submit("From Omar.")
    answer = await office.ann.submit("From Ann.")
    said = words(answer.body["view"]["blocks"])
    assert "Somebody changed the draft meanwhile" in said
    assert "From Omar." in said
    fields = [b["element"] for b in office.ann.view["blocks"] if b["type"] == "input"]
    assert fields[0]["initial_value"] == "From Ann."
    assert (await office.ann.submit()).text == ""
    assert (await office.response()).envelope.text == "From Ann."


async def test_text_typed_for_a_reply_that_left_can_still_be_copied(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    await office.omar.click(office.channel, ts, "Approve & send")
    await office.becomes(ResponseState.APPROVED)
    answer = await office.ann.submit("From Ann.")
    said = words(answer.body["view"]["blocks"])
    assert "Approved by Omar" in said
    assert "From Ann." in said


async def test_second_editor_is_told_and_may_take_over(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.until("Ann is editing")
    await office.omar.click(office.channel, ts, "Edit")
    await happens(lambda: office.door.of("views.update"))
    view = office.omar.opened()
    assert "Ann is editing" in words(view["blocks"])
    button = next(b for b in view["blocks"] if b["type"] == "actions")["elements"][0]
    state = office.omar.submission("half a sentence")["view"]
    await office.omar.press(button, "", {"type": "view", "view_id": view["id"]}, view=state)
    await office.until("Omar is editing")
    await happens(lambda: len(office.door.of("views.update")) == 2)
    kept = next(b for b in office.omar.opened()["blocks"] if b["type"] == "input")
    assert kept["element"]["initial_value"] == "half a sentence"


async def test_long_draft_is_edited_in_parts_and_comes_out_whole(office: Office) -> None:
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 90 for n in range(12)).strip()
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    await office.ann.submit(text)
    await office.until("Paragraph 0.")
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened(2)
    assert "Your reply, part 2 of" in words(office.ann.view["blocks"])
    await office.ann.submit()
    found = (await office.response()).envelope.text
    assert [line.strip() for line in found.splitlines()] == [
        line.strip() for line in text.splitlines()
    ]


async def test_another_draft_is_asked_for_in_words(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Regenerate draft")
    await office.opened()
    assert was_taken(await office.ann.submit("Shorter, please"))
    ticket = await office.store.ticket(office.scene.ticket.id)
    assert (ticket.state, ticket.instruction) == (TicketState.TRIAGED, "Shorter, please")
    assert (await office.response()).state is ResponseState.RETIRED
    await office.until("Being read and drafted")


async def test_another_draft_of_what_a_colleague_claimed_takes_a_second_yes(
    office: Office,
) -> None:
    made = office.scene
    await made.actions.act(await made.request(Verb.CLAIM, made.omar))
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Regenerate draft")
    await office.opened()
    await office.ann.submit("Shorter, please")
    assert "A colleague has claimed this ticket" in words(office.ann.view["blocks"])
    assert (await office.response()).state is ResponseState.DRAFT
    assert was_taken(await office.ann.submit())
    ticket = await office.store.ticket(made.ticket.id)
    assert (ticket.state, ticket.instruction) == (TicketState.TRIAGED, "Shorter, please")


async def test_after_a_rejected_draft_the_form_still_opens(office: Office) -> None:
    ts = await office.show()
    await office.ann.click(office.channel, ts, "Reject draft")
    await office.until("Draft rejected by Ann")
    await office.ann.click(office.channel, ts, "Edit")
    await office.opened()
    await office.ann.submit("My own words.")
    assert "edited by Ann" in await office.until("My own words.")
    assert (await office.response()).state is ResponseState.DRAFT
