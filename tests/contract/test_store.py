"""The store keeps its promises on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, event, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from desk.burial import bury
from desk.change import Change
from desk.engine import upgrade
from desk.errors import Conflict, Misconfigured, Permanent, Refused, Transient
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import Role
from desk.places import Network, Place
from desk.response import ResponseState
from desk.steps import Failure, Step
from desk.store import Store
from desk.tables.audit import audit_heads, audit_logs
from desk.tables.responses import responses
from desk.tables.schema import metadata
from desk.tables.tickets import emails, tickets
from desk.ticket import TicketState
from tests.doubles.databases import new_database
from tests.doubles.desk import START, FastClock, classified, mail, new_vault, received, scene


async def test_what_is_written_is_read_back(any_store: Store) -> None:
    at = await scene(any_store)
    view = await any_store.view(at.ticket.id)
    assert view.email.parsed == mail()
    assert view.classification == classified()
    assert view.response is not None
    assert view.response.envelope.text == "Hello Priya, we are on it."
    assert view.response.draft.score == 82
    assert (view.ticket.state, view.ticket.due_at) == (TicketState.OPEN, START + timedelta(hours=1))
    assert view.ticket.boosts == (("very unhappy", 20),)
    assert view.mailbox.name == "support"


async def test_a_stale_write_is_a_conflict_and_leaves_no_trace(any_store: Store) -> None:
    at = await scene(any_store)
    before = await at.verbs()
    async with any_store.change(at.ann.id) as change:
        await change.set_ticket(at.ticket, Verb.CLAIM, {"assignee": at.ann.id})
    with pytest.raises(Conflict):
        async with any_store.change(at.omar.id) as change:
            await change.set_ticket(at.ticket, Verb.CLAIM, {"assignee": at.omar.id})
    assert (await any_store.ticket(at.ticket.id)).assignee == at.ann.id
    assert await at.verbs() == [*before, "claim"]


async def test_of_many_writers_exactly_one_wins(any_store: Store) -> None:
    at = await scene(any_store)
    response = await at.response()
    assert response is not None

    async def approve() -> bool:
        try:
            async with any_store.change(at.ann.id) as change:
                await change.move_response(response, Verb.APPROVE)
                return True
        except Conflict:
            return False

    assert sum(await asyncio.gather(*(approve() for _ in range(12)))) == 1
    assert (await at.verbs()).count("approve") == 1


async def test_the_audit_chain_stays_whole_under_concurrent_writers(any_store: Store) -> None:
    async def add(number: int) -> None:
        async with any_store.change() as change:
            await change.add_user(f"u{number}@lanewright.example", "U", Role.AGENT)

    await asyncio.gather(*(add(number) for number in range(40)))
    verdict = await any_store.verify()
    assert (verdict.ok, verdict.entries) == (True, 40)


async def test_who_verifies_while_others_write_sees_a_whole_chain(any_store: Store) -> None:
    async def write() -> None:
        for number in range(60):
            async with any_store.change() as change:
                await bury(change, Step.SHOW, number, Failure("Transient", ""), 5)

    writing = asyncio.create_task(write())
    verdicts = []
    while not writing.done():
        verdicts.append(await any_store.verify())
    await writing
    assert all(verdict.ok for verdict in verdicts)


async def test_two_that_touch_the_same_tickets_do_not_lock_each_other_out(
    any_store: Store,
) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        new = received(mail("Second"), "2")
        other = await change.open_ticket(at.ticket.mailbox_id, new, 1.0)
        await change.receive(other, new)
    has_begun = asyncio.Event()

    async def claim(*ids: TicketId) -> None:
        async with any_store.change(at.ann.id) as change:
            for id in ids:
                ticket = await change.ticket(id)
                await change.set_ticket(ticket, Verb.CLAIM, {"assignee": at.ann.id})
                has_begun.set()
                await asyncio.sleep(0.2)

    async def claim_second() -> None:
        await has_begun.wait()
        await claim(other.id)

    await asyncio.gather(claim(at.ticket.id, other.id), claim_second())
    assert (await any_store.ticket(other.id)).assignee == at.ann.id


async def test_processes_that_start_together_make_one_schema(postgres_socket: Path) -> None:
    url = await new_database(postgres_socket)
    program = f"import asyncio; from desk.engine import upgrade; asyncio.run(upgrade({url!r}))"
    both = [await asyncio.create_subprocess_exec(sys.executable, "-c", program) for _ in range(2)]
    assert [await process.wait() for process in both] == [0, 0]


@pytest.mark.parametrize("url", ["postgres://app@h/n", "postgresql://app@h/n", "sqlite:///n", "n"])
async def test_a_database_that_is_not_supported_is_told(url: str) -> None:
    with pytest.raises(Misconfigured, match="write for example"):
        await upgrade(url)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid"])
async def test_a_database_that_is_away_may_come_back(host: str, tmp_path: Path) -> None:
    url = f"postgresql+asyncpg://app@{host}/n"
    with pytest.raises(Transient):
        await upgrade(url)
    async with Store.open(url, new_vault(tmp_path)) as store:
        with pytest.raises(Transient):
            await store.counts()


async def test_an_error_of_the_database_does_not_quote_mail(any_store: Store) -> None:
    at = await scene(any_store)
    with pytest.raises(IntegrityError) as caught:
        async with any_store.change() as change:
            await change.receive(await change.ticket(at.ticket.id), received(mail("Again")))
    assert "lindqvist" not in str(caught.value)


async def test_the_audit_log_refuses_edits(any_store: Store) -> None:
    await scene(any_store)
    for statement in (update(audit_logs).values(verb="x"), delete(audit_logs)):
        with pytest.raises((DBAPIError, IntegrityError)):
            async with any_store.engine.begin() as connection:
                await connection.execute(statement)
    assert (await any_store.verify()).ok


async def _without_triggers(store: Store, statement: object) -> None:
    """What somebody with all rights on the database could do."""
    async with store.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            await connection.execute(text("DROP TRIGGER audit_logs_no_update"))
            await connection.execute(text("DROP TRIGGER audit_logs_no_delete"))
        else:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        (update(audit_logs).where(audit_logs.c.n == 4).values(verb="approve"), 4),
        (delete(audit_logs).where(audit_logs.c.n == 3), 3),
        (delete(audit_logs).where(audit_logs.c.n >= 5), 5),
    ],
    ids=["an edit", "a hole", "a cut tail"],
)
async def test_tampering_with_the_audit_log_is_found(
    any_store: Store, statement: object, broken: int
) -> None:
    await scene(any_store)
    await _without_triggers(any_store, statement)
    verdict = await any_store.verify()
    assert (verdict.ok, verdict.first_broken) == (False, broken)


async def test_a_log_that_was_written_anew_is_found_by_a_head_of_before(any_store: Store) -> None:
    """Somebody with all rights cuts its tail off, and the head with it."""
    at = await scene(any_store)
    early = await any_store.verify()
    await at.actions.act(await at.request(Verb.APPROVE))
    late = await any_store.verify()
    assert (await any_store.verify(early.head)).ok
    assert (await any_store.verify(late.head)).ok
    cut = delete(audit_logs).where(audit_logs.c.n > early.entries)
    await _without_triggers(any_store, cut)
    async with any_store.engine.begin() as connection:
        await connection.execute(update(audit_heads).values(n=early.entries, hash=early.head))
    assert (await any_store.verify()).ok
    assert (await any_store.verify(early.head)).ok
    verdict = await any_store.verify(late.head)
    assert (verdict.ok, verdict.first_broken) == (False, early.entries + 1)


async def test_personal_data_lies_sealed_in_every_table(any_store: Store) -> None:
    await scene(any_store)
    secrets = [b"priya", b"Nair", b"nobody can log in", b"we are on it", b"ann@lanewright"]
    async with any_store.read() as connection:
        for table in metadata.sorted_tables:
            for row in (await connection.execute(select(table))).all():
                stored = b" ".join(
                    value if isinstance(value, bytes) else str(value).encode() for value in row
                )
                assert not [s for s in secrets if s.lower() in stored.lower()], table.name


async def test_a_sealed_value_moved_to_another_row_does_not_open(any_store: Store) -> None:
    at = await scene(any_store)
    second = received(mail("Another matter"), "2")
    async with any_store.change() as change:
        other = await change.open_ticket(at.ticket.mailbox_id, second, 1.0)
        await change.receive(other, second)
    async with any_store.engine.begin() as connection:
        stolen = await connection.scalar(
            select(emails.c.sealed).where(emails.c.ticket_id == at.ticket.id)
        )
        await connection.execute(
            update(emails).where(emails.c.ticket_id == other.id).values(sealed=stolen)
        )
    with pytest.raises(Permanent, match="changed, or moved"):
        await any_store.view(other.id)


async def test_a_ticket_has_at_most_one_response_that_wants_something(any_store: Store) -> None:
    at = await scene(any_store)
    response = await at.response()
    assert response is not None
    with pytest.raises(IntegrityError):
        async with any_store.change() as change:
            await change.add_response(
                at.ticket, response.email_id, response.envelope, response.draft
            )


async def test_the_same_mail_is_known_by_its_key_or_its_bytes(any_store: Store) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        assert await change.has_mail(at.ticket.mailbox_id, "1", "another")
        assert await change.has_mail(at.ticket.mailbox_id, "2", "0" * 64)
        assert not await change.has_mail(at.ticket.mailbox_id, "2", "another")
    with pytest.raises(IntegrityError):
        async with any_store.change() as change:
            await change.receive(await change.ticket(at.ticket.id), received(mail("x"), "1"))


async def test_an_answer_finds_its_ticket_by_message_id(any_store: Store) -> None:
    at = await scene(any_store)
    box = at.ticket.mailbox_id
    async with any_store.change() as change:
        found = await change.ticket_of_messages(box, [mail().message_id, "<unknown@x>"])
        assert found is not None
        assert found.id == at.ticket.id
        assert await change.ticket_of_messages(box, ["<unknown@x>"]) is None


async def test_a_subject_finds_its_ticket_only_for_the_same_sender(any_store: Store) -> None:
    at = await scene(any_store)
    box, key = at.ticket.mailbox_id, mail().subject.lower()
    async with any_store.change() as change:
        same = await change.ticket_of_subject(box, key, "PRIYA@lindqvist.example", START)
        assert same is not None
        assert await change.ticket_of_subject(box, key, "eve@lindqvist.example", START) is None
        assert (
            await change.ticket_of_subject(box, "other", "priya@lindqvist.example", START) is None
        )
        late = START + timedelta(days=1)
        assert await change.ticket_of_subject(box, key, "priya@lindqvist.example", late) is None


async def test_places_are_one_a_channel(any_store: Store) -> None:
    at = await scene(any_store)
    for message in ("m1", "m2"):
        async with any_store.change() as change:
            await change.record_place(at.ticket.id, Place(Network.SLACK, "C1", message, 3))
    assert await any_store.places(at.ticket.id) == [Place(Network.SLACK, "C1", "m2", 3)]


async def test_unfinished_is_what_the_states_ask_for(any_store: Store) -> None:
    at = await scene(any_store)
    [(ticket, response)] = await any_store.unfinished()
    assert (ticket.id, response) == (at.ticket.id, None)
    async with any_store.change() as change:
        await change.record_shown(ticket.id, ticket.version)
    assert await any_store.unfinished() == []
    draft = await at.response()
    assert draft is not None
    async with any_store.change(at.ann.id) as change:
        await change.move_response(draft, Verb.APPROVE)
    [(ticket, response)] = await any_store.unfinished()
    assert response is not None
    assert response.state is ResponseState.APPROVED


async def test_the_queue_is_served_by_score(any_store: Store) -> None:
    at = await scene(any_store)
    box = at.ticket.mailbox_id
    for key, score in (("2", 30.0), ("3", 10.0), ("4", 20.0)):
        new = received(mail(f"Matter {key}"), key)
        async with any_store.change() as change:
            ticket = await change.open_ticket(box, new, score)
            await change.receive(ticket, new)
        async with any_store.change() as change:
            moved = await change.move_ticket(
                await change.ticket(ticket.id), Verb.TRIAGE, {"score": score}
            )
            await change.move_ticket(moved, Verb.DRAFT)
    assert await any_store.waiting([box], 3) == [1, 3, 4]
    assert await any_store.waiting([], 3) == []


async def test_escalations_are_noted_once(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    assert await any_store.due_clocks() == []
    clock.forward(minutes=61)
    [late] = await any_store.due_clocks()
    notes = []
    for _ in range(2):
        async with any_store.change() as change:
            notes.append(await change.fire(late))
    assert notes == [at.ticket.id, None]
    [id] = await any_store.untold()
    noted = await any_store.escalation(id)
    assert (noted.rung, noted.due_at, noted.fired_at) == (
        "breach",
        START + timedelta(hours=1),
        None,
    )
    async with any_store.change() as change:
        await change.record_fired(noted, 1)
    assert (await any_store.untold(), await any_store.due_clocks()) == ([], [])


async def test_users_are_found_by_address_and_by_identity(any_store: Store) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        await change.link(at.ann.id, Network.SLACK, "U1")
    assert await any_store.user_by_email("ANN@lanewright.example") == at.ann
    assert await any_store.user_by_identity(Network.SLACK, "U1") == at.ann
    assert await any_store.user_by_identity(Network.TEAMS, "U1") is None
    with pytest.raises(Refused, match="already"):
        async with any_store.change() as change:
            await change.add_user("ann@LANEWRIGHT.example", "Again", Role.AGENT)


async def test_reading_a_ticket_leaves_the_raw_mail_where_it_is(any_store: Store) -> None:
    at = await scene(any_store)
    said: list[str] = []
    listen = any_store.engine.sync_engine
    event.listen(
        listen, "before_cursor_execute", lambda c, u, statement, *_: said.append(statement)
    )
    view = await any_store.view(at.ticket.id)
    await any_store.conversation(at.ticket.id)
    await any_store.email(view.email.id)
    assert not [statement for statement in said if "emails.raw" in statement]


async def test_a_conversation_reference_is_kept_sealed(any_store: Store) -> None:
    for reference in ('{"a": 1}', '{"a": 2}'):
        async with any_store.change() as change:
            await change.save_conversation(Network.TEAMS, "c", reference)
    assert await any_store.conversation_reference(Network.TEAMS, "c") == '{"a": 2}'
    assert await any_store.conversation_reference(Network.TEAMS, "d") is None


async def test_the_migrations_make_exactly_the_tables_of_the_code(any_store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import Connection

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with any_store.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_change_that_fails_leaves_nothing(any_store: Store) -> None:
    at = await scene(any_store)

    async def claim_then_fail(change: Change) -> None:
        await change.set_ticket(at.ticket, Verb.CLAIM, {"assignee": at.ann.id})
        raise Refused("no")

    with pytest.raises(Refused):
        async with any_store.change(at.ann.id) as change:
            await claim_then_fail(change)
    assert await any_store.ticket(at.ticket.id) == at.ticket
    assert (await any_store.verify()).ok


async def test_what_is_not_there_is_said_so(any_store: Store) -> None:
    with pytest.raises(Permanent, match="There is no ticket #99"):
        await any_store.view(TicketId(99))
    async with any_store.read() as connection:
        heads = (await connection.execute(select(audit_heads))).all()
        assert len(heads) == 1
        assert (await connection.execute(select(tickets.c.id))).all() == []
        assert (await connection.execute(select(responses.c.id))).all() == []
