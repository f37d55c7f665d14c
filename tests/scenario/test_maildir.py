"""A Maildir that other programs use and disturb: no mail is lost, none comes under two keys."""

from __future__ import annotations

import asyncio
import os
import random
import threading
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
from mail.maildir_folder import INDEX
from mail.maildir_index import COMPACT_LINES, MaildirIndex
from mail.place import Place
from mail.provider import MAIL_BYTES, Page
from tests.doubles.desk import FastClock


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("tmp", "new", "cur"):
        (tmp_path / "box" / folder).mkdir(parents=True)
    return tmp_path / "box"


def put(root: Path, name: str, raw: bytes = b"mail", when: float | None = None) -> Path:
    path = root / "new" / name
    path.write_bytes(raw)
    if when is not None:
        os.utime(path, (when, when))
    return path


def keys(page: Page) -> list[str]:
    return [arrival.key for arrival in page.arrivals]


async def read_all(provider: MaildirProvider, checkpoint: str = "") -> tuple[list[str], str]:
    found: list[str] = []
    while True:
        page = await provider.fetch(checkpoint, 100)
        found += keys(page)
        checkpoint = page.checkpoint
        if not page.more:
            return found, checkpoint


async def test_a_later_mail_with_an_earlier_name_and_time_is_seen(root: Path) -> None:
    provider = MaildirProvider(root)
    put(root, "2000.b.host", when=2000)
    page = await provider.fetch("")
    put(root, "1000.a.host", when=1000)
    later = await provider.fetch(page.checkpoint)
    assert keys(later) == ["1000.a.host"]
    assert later.arrivals[0].received_at == datetime.fromtimestamp(1000, UTC)


async def test_the_first_reading_is_in_the_order_of_writing(root: Path) -> None:
    for name, when in (("a", 3000), ("b", 1000), ("c", 2000)):
        put(root, name, when=when)
    assert keys(await MaildirProvider(root).fetch("")) == ["b", "c", "a"]


async def test_flags_and_moves_do_not_make_a_mail_new(root: Path) -> None:
    provider = MaildirProvider(root)
    mail = put(root, "1.a.host")
    page = await provider.fetch("")
    seen = mail.rename(root / "cur" / "1.a.host:2,S")
    assert keys(await provider.fetch(page.checkpoint)) == []
    assert not await provider.wait(0)
    seen.rename(root / "cur" / "1.a.host:2,RS")
    assert keys(await provider.fetch(page.checkpoint)) == []
    assert keys(await MaildirProvider(root).fetch("")) == ["1.a.host"]


async def test_mail_that_was_answered_before_we_came_is_told(root: Path) -> None:
    now = time.time()
    put(root, "1.a.host", when=now - 60).rename(root / "cur" / "1.a.host:2,RS")
    put(root, "2.Ra.host", when=now - 60).rename(root / "cur" / "2.Ra.host:2,S")
    clock = FastClock(datetime.fromtimestamp(now, UTC))
    page = await MaildirProvider(root, clock=clock).fetch("")
    assert {one.key: one.is_answered for one in page.arrivals} == {
        "1.a.host": True,
        "2.Ra.host": False,
    }
    put(root, "3.a.host", when=now + 1).rename(root / "cur" / "3.a.host:2,RS")
    clock.forward(minutes=1)
    [later] = (await MaildirProvider(root, clock=clock).fetch(page.checkpoint)).arrivals
    assert not later.is_answered


async def test_mail_already_moved_to_cur_is_read_there(root: Path) -> None:
    put(root, "1.a.host").rename(root / "cur" / "1.a.host:2,S")
    [arrival] = (await MaildirProvider(root).fetch("")).arrivals
    assert (arrival.key, arrival.raw) == ("1.a.host", b"mail")


async def test_a_mail_whose_flags_change_between_listing_and_reading_is_read(root: Path) -> None:
    provider = MaildirProvider(root)
    for number in range(6):
        put(root, f"{number}.host", when=1000 + number)
    page = await provider.fetch("", 2)  # the others are listed now
    for number in (2, 3):
        (root / "new" / f"{number}.host").rename(root / "cur" / f"{number}.host:2,S")
    assert keys(await provider.fetch(page.checkpoint, 2)) == ["2.host", "3.host"]


@pytest.mark.parametrize("limit", [2, 50])  # with and without listing again
async def test_a_vanished_mail_is_skipped_and_the_rest_comes(root: Path, limit: int) -> None:
    provider = MaildirProvider(root)
    for number in range(6):
        put(root, f"{number}.host", when=1000 + number)
    page = await provider.fetch("", 2)
    (root / "new" / "3.host").unlink()
    found: list[str] = []
    while page.more:
        page = await provider.fetch(page.checkpoint, limit)
        found += keys(page)
    assert found == ["2.host", "4.host", "5.host"]
    put(root, "3.host")  # it was only away for a moment
    assert keys(await provider.fetch(page.checkpoint)) == ["3.host"]


async def test_an_unreadable_mail_is_skipped_and_comes_when_it_can_be_read(root: Path) -> None:
    provider = MaildirProvider(root)
    (root / "new" / "1.host").symlink_to(root / "absent")
    put(root, "2.host", when=2000)
    page = await provider.fetch("")
    assert keys(page) == ["2.host"]
    (root / "absent").write_bytes(b"mail")
    assert keys(await provider.fetch(page.checkpoint)) == ["1.host"]


async def test_a_file_that_is_copied_in_slowly_is_taken_when_it_has_content(root: Path) -> None:
    provider = MaildirProvider(root)
    slow = put(root, "1.host", b"")
    page = await provider.fetch("")
    assert keys(page) == []
    slow.write_bytes(b"mail")
    assert await provider.wait(1)
    assert [a.raw for a in (await provider.fetch(page.checkpoint)).arrivals] == [b"mail"]


async def test_what_is_no_mail_does_not_disturb(root: Path) -> None:
    (root / "new" / "folder").mkdir()
    os.mkfifo(root / "new" / "pipe")
    (root / "new" / "dangling").symlink_to(root / "nowhere")
    put(root, ".hidden")
    put(root, "1.host")
    assert keys(await MaildirProvider(root).fetch("")) == ["1.host"]


async def test_names_of_any_bytes_become_keys_of_plain_text(root: Path) -> None:
    names = [b"1\xff\xfe.host", b"2\n0 1.host", "3ü%41.host".encode(), b"!4 a=b,S=12"]
    for name in names:
        put(root, os.fsdecode(name))
    found, checkpoint = await read_all(MaildirProvider(root))
    assert len(set(found)) == 4
    assert "".join(found).isascii()
    assert "".join(found).isprintable()
    again = MaildirProvider(root)
    assert sorted((await read_all(again))[0]) == sorted(found)
    assert keys(await again.fetch(checkpoint)) == []


async def test_an_oversized_mail_is_cut_and_does_not_stop_the_next(root: Path) -> None:
    with put(root, "1.host", when=1000).open("r+b") as file:
        file.truncate(MAIL_BYTES + 10)
    put(root, "2.host")
    provider = MaildirProvider(root)
    page = await provider.fetch("")
    assert [len(a.raw) for a in page.arrivals] == [MAIL_BYTES]
    assert page.more
    assert keys(await provider.fetch(page.checkpoint)) == ["2.host"]


async def test_a_strange_file_time_does_not_disturb(root: Path) -> None:
    put(root, "1.host", when=-1_000_000)
    put(root, "2.host", when=4e11)
    for arrival in (await MaildirProvider(root).fetch("")).arrivals:
        assert datetime.fromtimestamp(0, UTC) <= arrival.received_at <= datetime.now(UTC)


async def test_a_mail_with_a_name_of_its_own_is_delivered_once(root: Path) -> None:
    assert deliver(root, b"mail", "sample-1") == "sample-1"
    (root / "new" / "sample-1").rename(root / "cur" / "sample-1:2,S")
    assert deliver(root, b"mail", "sample-1") == ""
    assert keys(await MaildirProvider(root).fetch("")) == ["sample-1"]


# The index


async def test_without_its_index_the_mailbox_is_read_again_under_the_same_keys(root: Path) -> None:
    for number in range(9):
        deliver(root, b"%d" % number)
    found, checkpoint = await read_all(MaildirProvider(root))
    (root / INDEX).unlink()
    again, reached = await read_all(MaildirProvider(root), checkpoint)
    now = datetime.now(UTC)
    anew = (await read_all(MaildirProvider(root)))[1]
    assert again == found
    assert Place.read(reached, now).folders == Place.read(anew, now).folders


@pytest.mark.parametrize(
    "damage", [b"", b"\0\0\0\0", b"nonsense\n", b"maildesk-index-1 id 0\nx y\n"]
)
async def test_a_damaged_index_is_made_anew(root: Path, damage: bytes) -> None:
    deliver(root, b"mail")
    found, checkpoint = await read_all(MaildirProvider(root))
    (root / INDEX).write_bytes(damage)
    assert (await read_all(MaildirProvider(root), checkpoint))[0] == found


async def test_a_crash_while_the_index_was_written_loses_nothing(root: Path) -> None:
    deliver(root, b"one")
    found, checkpoint = await read_all(MaildirProvider(root))
    second = deliver(root, b"two")
    with (root / INDEX).open("ab") as file:
        file.write(f"2 {second}"[:-4].encode())  # no line end: torn
    provider = MaildirProvider(root)
    assert (await read_all(provider, checkpoint))[0] == [second]
    assert (await read_all(provider))[0] == [*found, second]


async def test_two_processes_on_one_mailbox_number_it_alike(root: Path) -> None:
    clock = FastClock()
    one, two = MaildirProvider(root, clock=clock), MaildirProvider(root, clock=clock)
    places = ["", ""]
    seen: list[list[str]] = [[], []]
    for round_ in range(20):
        deliver(root, b"%d" % round_)
        for number, provider in enumerate((one, two)):
            page = await provider.fetch(places[number])
            seen[number] += keys(page)
            places[number] = page.checkpoint
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 20
    assert places[0] == places[1]


async def test_a_long_index_of_deleted_mail_is_shortened(root: Path) -> None:
    gone = [f"{number}.gone" for number in range(COMPACT_LINES)]
    MaildirIndex(root / INDEX).add(gone)
    for number in range(5):
        put(root, f"{number}.host", when=number)
    provider, other = MaildirProvider(root), MaildirProvider(root)
    found, checkpoint = await read_all(provider)
    assert len(found) == 5
    assert (root / INDEX).stat().st_size < 1000
    put(root, "new.host")
    for reader in (other, provider, MaildirProvider(root)):
        again, reached = await read_all(reader, checkpoint)
        assert again == ["new.host"]
        assert reached == checkpoint.replace(f":{COMPACT_LINES + 5}", f":{COMPACT_LINES + 6}")


async def test_nothing_is_lost_while_mail_comes_and_flags_change_all_the_time(root: Path) -> None:
    dice = random.Random(4)  # noqa: S311 - a test that can be repeated
    over = threading.Event()
    names: list[str] = []

    def world() -> None:
        for number in range(400):
            names.append(deliver(root, b"%d" % number))
            for entry in dice.sample(sorted(os.listdir(root / "new")), k=1):
                (root / "new" / entry).rename(root / "cur" / f"{entry}:2,")
            entry = dice.choice(os.listdir(root / "cur"))
            flags = "".join(sorted(dice.sample("FRST", k=2)))
            target = root / "cur" / f"{entry.partition(':')[0]}:2,{flags}"
            (root / "cur" / entry).rename(target)
        over.set()

    provider = MaildirProvider(root, poll=0.01)
    found: list[str] = []
    checkpoint = ""
    thread = threading.Thread(target=world)
    thread.start()
    while not over.is_set() or await provider.wait(0):
        page = await provider.fetch(checkpoint, 7)
        found += keys(page)
        checkpoint = page.checkpoint
        await asyncio.sleep(0)
    thread.join()
    found += (await read_all(provider, checkpoint))[0]
    assert set(found) == set(names)


@pytest.mark.slow
async def test_many_old_mails_are_read_in_reasonable_time(root: Path) -> None:
    for number in range(20_000):
        (root / "cur" / f"{number}.host:2,S").write_bytes(b"mail")
    provider = MaildirProvider(root)
    started = time.process_time()
    checkpoint, count = "", 0
    while True:
        page = await provider.fetch(checkpoint, 100)
        count += len(page.arrivals)
        checkpoint = page.checkpoint
        if not page.more:
            break
    assert count == 20_000
    assert time.process_time() - started < 12


async def test_an_idle_wait_lists_the_folders_only_when_they_change(root: Path) -> None:
    for number in range(10_000):
        (root / "cur" / f"{number}.host:2,S").write_bytes(b"mail")
    past = time.time() - 60
    os.utime(root / "new", (past, past))
    os.utime(root / "cur", (past, past))
    provider = MaildirProvider(root, poll=0.02)
    await read_all(provider)
    started = time.process_time()
    assert not await provider.wait(0.5)
    assert time.process_time() - started < 0.1
    deliver(root, b"mail")
    assert await provider.wait(0)


# Where it is, and the sent mail


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
