"""A long first reading of a real Dovecot on its worst day: at the end all its mail is stored.

MAILDESK_CHAOS=full reads 5,000 mails while the server is killed 50 times; else it is a short form.
"""

from __future__ import annotations

import asyncio
import imaplib
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from desk.email import Mailbox, ParsedEmail
from desk.steps import Step
from desk.store import Store
from mail.parse import parse
from tests.doubles.desk import ListQueue
from tests.doubles.dovecot import PASSWORD, Dovecot, dovecot
from tests.doubles.imap_box import provider
from tests.doubles.tokens import TokenList, introspection
from workers.intake import Intake

IS_FULL = os.environ.get("MAILDESK_CHAOS") == "full"
MAILS, KILLS = (5_000, 50) if IS_FULL else (400, 3)
SEED = int(os.environ.get("MAILDESK_SEED", "7"))


def raw(number: int) -> bytes:
    said = f"Order {number} has not come.\r\n" * (1 + number % 50 * 10)
    return (
        f"Message-ID: <{number}@example.org>\r\nFrom: c{number}@example.org\r\n"
        f"To: alice@example.org\r\nSubject: order {number}\r\n\r\n{said}"
    ).encode()


async def parsed(content: bytes) -> ParsedEmail:
    return parse(content)


async def stored(store: Store) -> Counter[int]:
    """How often each mail is stored, by its number."""
    async with store.read() as connection:
        found = await connection.execute(text("SELECT message_id FROM emails"))
        return Counter(int(row.message_id[1:].partition("@")[0]) for row in found)


def expunge(server: Dovecot, uids: list[int]) -> list[int]:
    """Another mail client deletes; the numbers of the mails that are gone."""
    client = imaplib.IMAP4("127.0.0.1", server.imap)
    client.login("alice", PASSWORD)
    client.select("INBOX")
    gone = []
    for uid in uids:
        _, said = client.uid("FETCH", str(uid), "(BODY.PEEK[HEADER.FIELDS (Message-ID)])")
        if isinstance(said[0], tuple):
            gone.append(int(said[0][1].partition(b"<")[2].partition(b"@")[0]))
            client.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)")
    client.expunge()
    client.logout()
    return gone


def plan(chance: random.Random) -> Iterator[str]:
    """What happens to each page, the first ones before the mailbox is read to its end."""
    pages = max(MAILS // 50, 2 * KILLS)
    events = ["kill"] * KILLS + ["expunge"] * max(KILLS // 4, 1) + ["revoke"] * max(KILLS // 4, 1)
    events += ["renumber"] + [""] * max(pages // 2 - len(events), 0)
    chance.shuffle(events)
    yield from events


@pytest.mark.slow
@pytest.mark.timeout(900 if IS_FULL else 60)
async def test_what_is_stored_is_the_mailbox_whatever_happens_meanwhile(
    store: Store, tmp_path: Path
) -> None:
    chance = random.Random(SEED)  # noqa: S311
    good = {"token 0"}
    tokens = TokenList([f"token {number}" for number in range(1000)])
    gone: list[int] = []
    happened: Counter[str] = Counter()
    async with introspection(good) as url:
        with dovecot(introspection=url) as server:
            server.fill([raw(number) for number in range(MAILS)])
            box = await connected(store)
            async with provider(server, token=tokens, silence=10.0) as reading:
                queue = ListQueue()
                intake = Intake(store, queue, {box.id: reading}, parsed)
                is_more, events = True, plan(chance)
                while is_more:
                    queue.jobs.clear()
                    event = next(events, "")
                    happened[event] += 1
                    turn = asyncio.create_task(intake(box.id))
                    await asyncio.sleep(chance.random() ** 2 * 0.05)
                    match event:
                        case "kill":
                            server.kill()
                            server.start()
                        case "renumber":
                            server.renumber()
                        case "expunge":
                            span = chance.sample(range(1, MAILS + 1), 5)
                            gone += await asyncio.to_thread(expunge, server, sorted(span))
                        case "revoke":
                            good.clear()
                            good.add(tokens.tokens[1])
                            server.kill()  # whoever is signed in would stay so
                            server.start()
                    await turn
                    problem = (await store.mailbox(box.id)).problem
                    is_more = bool(problem) or (Step.INTAKE, box.id) in queue.jobs
    counts = await stored(store)
    assert set(range(MAILS)) - set(gone) <= set(counts)
    assert set(counts.values()) == {1}
    assert (happened["kill"], happened["renumber"]) == (KILLS, 1)
    assert tokens.refused
    assert gone


async def connected(store: Store) -> Mailbox:
    async with store.change() as change:
        return await change.add_mailbox("support", "alice@example.org", "imap")
