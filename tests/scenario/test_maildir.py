"""A Maildir that other programs use and disturb: no mail is lost, none comes under two keys."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mail.maildir import MaildirProvider, deliver
from mail.provider import MAIL_BYTES
from tests.doubles.desk import FastClock
from tests.doubles.maildir_box import keys, made, put, read_all


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path)


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
