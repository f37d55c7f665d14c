"""A Maildir when it is connected, goes away, and keeps what is sent."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.mailboxes import Opening, opened_mailbox
from desk.email import Mailbox
from desk.errors import Misconfigured, Transient
from desk.ids import MailboxId
from desk.mailbox_settings import MailboxSettings
from desk.settings import Settings
from desk.store import Store
from mail.bucket import LocalLimits
from mail.maildir import MaildirProvider, deliver
from tests.doubles.desk import FastClock
from tests.doubles.maildir_box import keys, made, put, read_all


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path)


async def test_a_path_that_is_no_maildir_is_a_matter_of_settings(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no Maildir"):
        async with MaildirProvider(tmp_path):
            pass


async def test_a_mailbox_that_goes_away_is_transient_and_comes_back(root: Path) -> None:
    async with MaildirProvider(root) as provider:
        deliver(root, b"mail")
        page = await provider.fetch("")
        away = root.with_name("away")
        os.rename(root, away)
        with pytest.raises(Transient):
            await provider.fetch(page.checkpoint)
        with pytest.raises(Transient):
            await provider.wait(5)
        os.rename(away, root)
        deliver(root, b"more")
        assert [a.raw for a in (await provider.fetch(page.checkpoint)).arrivals] == [b"more"]


async def test_sending_the_same_mail_again_leaves_one_file_whatever_its_flags(root: Path) -> None:
    provider = MaildirProvider(root)
    mime = b"Message-ID: <1@example.org>\r\nSubject: hi\r\n\r\nhello\r\n"
    await asyncio.gather(*(provider.send(mime, "us@example.org", ["a@b"]) for _ in range(5)))
    [sent] = (root / ".Sent" / "cur").iterdir()
    assert sent.read_bytes() == mime
    assert sent.name.endswith(":2,S")
    sent.rename(sent.with_name(sent.name + "T"))
    await provider.send(mime, "us@example.org", ["a@b"])
    assert len(list((root / ".Sent" / "cur").iterdir())) == 1
    assert list((root / ".Sent" / "tmp").iterdir()) == []
    assert await provider.find_sent("<1@example.org>")


async def test_mail_that_another_program_filed_as_sent_is_found(root: Path) -> None:
    deliver(
        root / ".Sent", b"Subject: x\r\nMessage-ID:\r\n <other@example.org>\r\n\r\n<body@x>\r\n"
    )
    provider = MaildirProvider(root)
    assert await provider.find_sent("<other@example.org>")
    assert not await provider.find_sent("<body@x>")


async def test_mail_that_cannot_be_filed_is_transient_and_leaves_nothing(root: Path) -> None:
    (root / ".Sent").write_bytes(b"a file where the folder should be")
    with pytest.raises(Transient):
        await MaildirProvider(root).send(b"Message-ID: <1@x>\r\n\r\n", "us@x", ["a@b"])


def opening(store: Store) -> Opening:
    return Opening(Settings(), store, LocalLimits())


async def test_a_maildir_of_somebody_else_keeps_its_rights(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "mail"
    (folder / "new").mkdir(parents=True)
    (folder / "new").chmod(0o770)  # the group of the program that delivers
    given = MailboxSettings(name="support", address="support@lanewright.example", folder=folder)
    record = Mailbox(MailboxId(1), given.name, given.address, "maildir")
    async with opened_mailbox(opening(store), record, given):
        assert (folder / "new").stat().st_mode & 0o777 == 0o770
        assert (folder / "cur").is_dir()


async def test_a_maildir_that_cannot_be_made_is_told(tmp_path: Path, store: Store) -> None:
    (tmp_path / "mail").write_text("no folder")
    folder = tmp_path / "mail"
    given = MailboxSettings(name="support", address="support@lanewright.example", folder=folder)
    record = Mailbox(MailboxId(1), given.name, given.address, "maildir")
    with pytest.raises(Misconfigured, match="folder of the mailbox support"):
        async with opened_mailbox(opening(store), record, given):
            pass


# Old mail, and mail sent by others


async def test_mail_older_than_the_backfill_never_comes(root: Path) -> None:
    now = time.time()
    for days in range(40):
        put(root, f"{days}.host", when=now - days * 86_400)
    clock = FastClock(datetime.fromtimestamp(now, UTC))
    provider = MaildirProvider(root, backfill=timedelta(days=7.5), clock=clock)
    found, checkpoint = await read_all(provider)
    assert sorted(found) == sorted(f"{days}.host" for days in range(8))
    clock.forward(days=30)
    put(root, "late.host", when=now)
    put(root, "restored.host", when=now - 20 * 86_400)
    again = MaildirProvider(root, backfill=timedelta(days=7.5), clock=clock)
    assert (await read_all(again, checkpoint))[0] == ["late.host"]


async def test_a_thousand_old_mails_cost_one_page(root: Path) -> None:
    for number in range(1000):
        put(root, f"{number}.host", when=1000 + number)
    page = await MaildirProvider(root, backfill=timedelta(days=14)).fetch("", 10)
    assert (page.arrivals, page.more) == ((), False)


async def test_mail_that_another_program_files_as_sent_comes_as_sent(root: Path) -> None:
    provider = MaildirProvider(root)
    _, checkpoint = await read_all(provider)
    deliver(root / ".Sent", b"Subject: by hand\n\nhello\n", "by-hand")
    [arrival] = (await provider.fetch(checkpoint)).arrivals
    assert (arrival.is_sent, arrival.key) == (True, ".Sent/by-hand")
    deliver(root, b"mail", "by-hand")
    put(root, "second.host")
    first = await provider.fetch(checkpoint, 2)
    assert (keys(first), first.more) == (["by-hand", "second.host"], True)
    assert keys(await provider.fetch(first.checkpoint, 2)) == [".Sent/by-hand"]
