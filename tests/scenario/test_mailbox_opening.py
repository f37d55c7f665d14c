"""One mailbox that is wrong stops no other: it says so, and works again once it is put right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli import desk_commands, mailbox_commands
from cli.mailboxes import Opening, opened_mailboxes
from desk.errors import Misconfigured
from desk.ids import MailboxId
from desk.mailbox_settings import MailboxSettings
from desk.settings import Settings
from desk.store import Store
from mail.bucket import LocalLimits
from mail.maildir import deliver
from mail.provider import Provider
from mail.reopening import ReopeningMailbox
from mail.tokens import StoredPassword
from tests.doubles.desk import ListQueue
from tests.doubles.dovecot import PASSWORD, dovecot
from tests.doubles.mailbox import ScriptedMailbox, parse_here, raw_mail
from workers.intake import Intake


def maildir(name: str, folder: Path | None) -> MailboxSettings:
    return MailboxSettings(name=name, address=f"{name}@lanewright.example", folder=folder)


async def registered(store: Store, mailboxes: Sequence[MailboxSettings]) -> list[MailboxId]:
    ids = []
    for given in mailboxes:
        async with store.change() as change:
            record = await change.add_mailbox(given.name, given.address, given.kind)
        ids.append(record.id)
    return ids


@asynccontextmanager
async def intake(store: Store, mailboxes: Sequence[MailboxSettings]) -> AsyncIterator[Intake]:
    await registered(store, mailboxes)
    records = await store.mailboxes()
    opening = Opening(Settings(mailboxes=tuple(mailboxes)), store, LocalLimits())
    by_name = {record.name: record for record in records}
    pairs = [(by_name[given.name], given) for given in mailboxes]
    async with opened_mailboxes(opening, pairs) as providers:
        yield Intake(store, ListQueue(), providers, parse_here)


async def problem(store: Store, id: MailboxId) -> str:
    return (await store.mailbox(id)).problem


async def tickets(store: Store) -> int:
    counts = await store.counts()
    return sum(counts.values()) - counts["sent"]


def wrong(tmp_path: Path, how: Mapping[str, object]) -> MailboxSettings:
    (tmp_path / "file").write_text("no folder")
    who = {"name": "wrong", "address": "wrong@lanewright.example"}
    places = {key: tmp_path / str(how[key]) for key in ("folder", "ca_file") if key in how}
    return MailboxSettings.model_validate({**who, **how, **places})


IMAP = {"kind": "imap", "host": "127.0.0.1", "smtp": {"host": "127.0.0.1"}}
WRONG: dict[str, Mapping[str, object]] = {
    "client_id in [oauth.google]": {"kind": "gmail"},
    "client_id in [oauth.microsoft]": {"kind": "outlook"},
    "needs its folder": {"kind": "maildir"},
    "cannot be used": {"kind": "maildir", "folder": "file"},
    "needs host and smtp": {"kind": "imap"},
    "holds no certificates": {**IMAP, "ca_file": "no.pem"},
}


@pytest.mark.parametrize("sentence", WRONG)
async def test_a_mailbox_that_cannot_be_opened_says_so_and_the_others_go_on(
    tmp_path: Path, store: Store, sentence: str
) -> None:
    good = maildir("good", tmp_path / "good")
    async with intake(store, [wrong(tmp_path, WRONG[sentence]), good]) as reading:
        bad, fine = [record.id for record in await store.mailboxes()]
        await reading(fine)
        deliver(tmp_path / "good", raw_mail("Help", "Hello", "<1@example.org>"))
        await reading(bad)
        await reading(fine)
        assert sentence in await problem(store, bad)
        assert await problem(store, fine) == ""
        assert await tickets(store) == 1
        with pytest.raises(Misconfigured):
            await reading.providers[bad].wait(1)


async def test_a_folder_that_is_put_right_is_read_without_a_restart(
    tmp_path: Path, store: Store
) -> None:
    folder = tmp_path / "box"
    folder.write_text("no folder")
    async with intake(store, [maildir("support", folder)]) as reading:
        [id] = [record.id for record in await store.mailboxes()]
        await reading(id)
        assert "cannot be used" in await problem(store, id)
        folder.unlink()
        await reading(id)
        deliver(folder, raw_mail("Help", "Hello", "<1@example.org>"))
        await reading(id)
        assert (await problem(store, id), await tickets(store)) == ("", 1)


async def test_a_new_password_is_used_without_a_restart(store: Store) -> None:
    with dovecot() as server:
        given = MailboxSettings.model_validate(
            {
                "name": "support",
                "address": "alice@example.org",
                "kind": "imap",
                "host": "127.0.0.1",
                "port": server.imap,
                "user": "alice",
                "tls": "none",
                "smtp": {"host": "127.0.0.1", "tls": "none"},
            }
        )
        async with intake(store, [given]) as reading:
            [id] = [record.id for record in await store.mailboxes()]
            await StoredPassword(store, id).replace("wrong")
            await reading(id)
            assert "refused" in await problem(store, id)
            await StoredPassword(store, id).replace(PASSWORD)
            await reading(id)
            assert await problem(store, id) == ""
            server.deliver(raw_mail("Help", "Hello", "<1@example.org>"))
            await reading(id)
            assert await tickets(store) == 1


class Doors:
    """Opens scripted mailboxes, and counts."""

    def __init__(self, fetch: Callable[[], None]) -> None:
        self.opened = 0
        self.closed = 0
        self.waits = asyncio.Event()
        self.has_news = asyncio.Event()
        self._fetch = fetch

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Provider]:
        self.opened += 1
        fails, waits, has_news = self._fetch, self.waits, self.has_news

        class Mailbox(ScriptedMailbox):
            async def wait(self, seconds: float) -> bool:
                waits.set()
                return await has_news.wait()

            async def find_sent(self, message_id: str) -> bool:
                fails()
                return False

        try:
            yield Mailbox()
        finally:
            self.closed += 1


async def test_a_provider_is_closed_when_the_last_who_uses_it_is_done() -> None:
    def refuse() -> None:
        raise Misconfigured("The password is wrong")

    doors = Doors(refuse)
    async with ReopeningMailbox(doors.open, is_read_anew=True) as mailbox:
        waiting = asyncio.create_task(mailbox.wait(60))
        await doors.waits.wait()
        for _ in range(2):
            with pytest.raises(Misconfigured):
                await mailbox.find_sent("<1@x>")
        assert (doors.opened, doors.closed) == (2, 1)  # the first is still waited on
        doors.has_news.set()
        await waiting
        assert (doors.opened, doors.closed) == (2, 2)
        await mailbox.fetch("")
        assert (doors.opened, doors.closed) == (3, 2)
    assert doors.closed == 3


async def test_a_provider_whose_opening_reads_nothing_stays() -> None:
    def refuse() -> None:
        raise Misconfigured("Sign in again")

    doors = Doors(refuse)
    async with ReopeningMailbox(doors.open) as mailbox:
        for _ in range(3):
            with pytest.raises(Misconfigured):
                await mailbox.find_sent("<1@x>")
        assert (doors.opened, doors.closed) == (1, 0)
    assert doors.closed == 1


async def test_check_and_list_tell_what_the_settings_lack_though_nobody_reads_yet(
    tmp_path: Path,
) -> None:
    gmail = MailboxSettings(name="sales", address="sales@lanewright.example", kind="gmail")
    good = maildir("good", tmp_path / "good")
    settings = Settings(data=tmp_path / "data", mailboxes=(gmail, good))
    rows = await mailbox_commands.listed(settings)
    assert [bool(row["problem"]) for row in rows] == [True, False]
    with pytest.raises(Misconfigured, match="client_id"):
        await desk_commands.check_mailbox(rows[0])
    assert await desk_commands.check_mailbox(rows[1]) == "good@lanewright.example"
    assert not (tmp_path / "good").exists()  # to look changes nothing
