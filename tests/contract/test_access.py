"""What cannot be opened is neither passed off as missing nor shown to whom it is hidden."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Table, update
from structlog.testing import capture_logs

from desk import access
from desk.action import Outcome, Result
from desk.errors import Refused
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import Role, User
from desk.store import Store
from desk.tables.tickets import emails, tickets
from desk.vault import open_vault
from tests.doubles.desk import Scene, mail, received, scene

SEALED = (
    "Ticket #1 cannot be opened: its record was changed, or was sealed with a key that is not in"
    " the key file. Whoever runs Maildesk finds the record in the log"
)
HIDDEN = "There is no ticket #{} in your mailboxes"


async def spoil(store: Store, table: Table) -> None:
    async with store.change() as change:
        await change.connection.execute(update(table).values(sealed=b"test" + bytes(40)))


async def refusal(store: Store, user: User, id: int = 1) -> str:
    with pytest.raises(Refused) as refused:
        await access.ticket(store, user, TicketId(id))
    return str(refused.value)


def said(logs: list[object]) -> list[tuple[object, ...]]:
    lines = [line for line in logs if isinstance(line, dict)]
    return [(line["event"], line["ticket"], line["error"]) for line in lines]


@pytest.mark.parametrize("table", [tickets, emails], ids=["ticket", "email"])
async def test_a_spoiled_ticket_is_said_to_be_so_and_logged(any_store: Store, table: Table) -> None:
    at = await scene(any_store)
    await spoil(any_store, table)
    with capture_logs() as logs:
        assert await refusal(any_store, at.ann) == SEALED
    error = f"{table.name}.sealed:1 cannot be opened: it was changed, or moved"
    assert said([*logs]) == [("ticket not readable", 1, error)]


async def test_a_ticket_of_a_lost_key_is_said_to_be_so(store: Store, tmp_path: Path) -> None:
    at = await scene(store)
    file = tmp_path / "other"
    file.touch(mode=0o600)
    file.write_text(f"late {b64encode(bytes(32)).decode()}\nindex {b64encode(bytes(32)).decode()}")
    other = Store(store.engine, open_vault(file), store.clock)
    with capture_logs() as logs:
        assert await refusal(other, at.ann) == SEALED
    [(_, _, error)] = said([*logs])
    assert error == "tickets.sealed:1 was sealed with key test, which is not in the key file"


async def test_a_click_on_a_spoiled_ticket_is_told_why(store: Store) -> None:
    at = await scene(store)
    request = await at.request(Verb.CLAIM)
    await spoil(store, tickets)
    with capture_logs() as logs:
        assert await at.actions.act(request) == Outcome(Result.REFUSED, SEALED)
    assert [ticket for _, ticket, _ in said([*logs])] == [1]


async def test_whom_it_is_hidden_from_learns_nothing(store: Store) -> None:
    at: Scene = await scene(store)
    async with store.change() as change:
        await change.add_mailbox("support", "support@lanewright.example", "maildir", "billing")
    stranger = replace(at.ann, team="sales")
    request = await at.request(Verb.CLAIM, stranger)
    await spoil(store, tickets)
    with capture_logs() as logs:
        assert await refusal(store, stranger) == HIDDEN.format(1)
        assert (await at.actions.act(request)).note == HIDDEN.format(1)
        assert await refusal(store, at.omar, 2) == HIDDEN.format(2)
    assert logs == []


async def test_an_agent_of_a_team_counts_what_the_team_sees(store: Store) -> None:
    at = await scene(store)
    async with store.change() as change:
        agent = await change.add_user("eva@lanewright.example", "Eva", Role.AGENT, "billing")
        theirs = await change.add_mailbox("bills", "b@lanewright.example", "maildir", "billing")
        await change.add_mailbox("support", "support@lanewright.example", "maildir", "support")
        for number in range(2):
            await change.open_ticket(theirs.id, received(mail("A bill"), f"b{number}"), 1.0)
    await sent(at)
    assert await access.counts(store, at.omar) == {"waiting": 1, "new": 2, "sent": 1}
    assert await access.counts(store, at.ann) == {"waiting": 1, "new": 2, "sent": 1}
    assert await access.counts(store, agent) == {"new": 2, "sent": 0}


async def sent(at: Scene) -> None:
    for verb in (Verb.APPROVE, Verb.SEND, Verb.DELIVER):
        async with at.store.change() as change:
            response = await change.live_response(at.ticket.id)
            assert response is not None
            await change.move_response(response, verb)
    async with at.store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.DELIVER)
