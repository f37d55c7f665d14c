"""Values that are longer than their column, or that one database takes and the other does not."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from desk import access
from desk.email import Mailbox
from desk.errors import Misconfigured, Permanent, Refused
from desk.ids import TicketId
from desk.mailbox_settings import MailboxSettings
from desk.moves import Verb
from desk.people import Role
from desk.places import Network
from desk.response import Draft
from desk.store import Store
from desk.tables.knowledge import knowledge_base
from desk.tables.mailboxes import mailboxes
from desk.tables.people import users
from desk.troubles import note
from kb.articles import MAX_NAME, load
from tests.doubles.desk import classified, scene

LONG = "m" * 300


def length(column: object) -> int:
    return int(column.type.length)  # type: ignore[attr-defined]


def test_what_may_be_configured_can_be_stored(tmp_path: Path) -> None:
    given = MailboxSettings.model_json_schema()["properties"]
    for name in ("name", "address", "team"):
        assert given[name]["maxLength"] <= length(mailboxes.c[name])
    assert length(knowledge_base.c.name) == MAX_NAME
    folder = tmp_path.joinpath(*["f" * 100] * 2)
    folder.mkdir(parents=True)
    (folder / f"{'a' * 50}.md").write_text("# Prices\n\nAn hour costs nothing.")
    [article] = load(tmp_path)
    assert len(article.name) == MAX_NAME
    (folder / f"{'a' * 51}.md").write_text("# Prices\n\nAn hour costs nothing.")
    with pytest.raises(Misconfigured, match="is longer than 255 letters"):
        load(tmp_path)


async def test_a_team_that_is_too_long_is_refused(any_store: Store) -> None:
    most = length(users.c.team)
    async with any_store.change() as change:
        await change.add_user("ann@x.example", "Ann", Role.AGENT, "t" * most)
        with pytest.raises(Refused, match="may have 64 letters"):
            await change.add_user("bo@x.example", "Bo", Role.AGENT, "t" * (most + 1))


@pytest.mark.parametrize("key", [LONG, "slack:\0"], ids=["long", "NUL"])
async def test_a_click_has_whatever_key_its_network_gives_it(any_store: Store, key: str) -> None:
    async with any_store.change() as change:
        assert [await change.first_time(one) for one in (key, key, key + "2")] == [
            True,
            False,
            True,
        ]


async def test_models_have_whatever_name_they_have(any_store: Store) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        old = await change.live_response(at.ticket.id)
        assert old is not None
        await change.classify(old.email_id, replace(classified(), model=LONG))
        await change.move_response(old, Verb.REJECT)
        draft = Draft("Hello", model=LONG)
        made = await change.add_response(at.ticket, old.email_id, old.envelope, draft)
    assert len((await any_store.response(made.id)).draft.model) == 128


async def test_what_a_server_says_is_kept_without_its_nul(any_store: Store) -> None:
    async with any_store.change() as change:
        box = await change.add_mailbox("support", "support@lanewright.example", "maildir")
        await change.save_checkpoint(box.id, "", "It said \0.")
        await note(change, box.id, Permanent("It said \0."))
        await change.save_article("a.md", "A\0", "0" * 64, 1)
    kept: Mailbox = await any_store.mailbox(box.id)
    [trouble] = await any_store.troubles(box.id)
    assert kept.problem == trouble.problem == "It said \N{REPLACEMENT CHARACTER}."


async def test_a_number_that_no_record_has_is_that_of_no_ticket(any_store: Store) -> None:
    at = await scene(any_store)
    for id in (2**63, 10**30, -1):
        with pytest.raises(Refused, match="There is no ticket"):
            await access.ticket(any_store, at.ann, TicketId(id))
        request = await at.request(Verb.CLAIM, ticket_id=TicketId(id))
        assert (await at.actions.act(request)).note.startswith("There is no ticket")
        with pytest.raises(Permanent):
            await any_store.ticket(TicketId(id))


async def test_what_the_database_does_not_take_is_not_tried_again(any_store: Store) -> None:
    at = await scene(any_store)
    is_strict = any_store.engine.dialect.name == "postgresql"
    for channel in ("c" * 256, "\0"):
        refused = pytest.raises(Permanent, match="The database does not take")
        with refused if is_strict else nullcontext():
            async with any_store.change() as change:
                await change.intend_place(at.ticket.id, Network.TEAMS, channel)
