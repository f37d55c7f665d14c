"""The index that numbers the mails of a Maildir: damaged, lost, written by two, or grown long."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mail.maildir import MaildirProvider, deliver
from mail.maildir_folder import INDEX
from mail.maildir_index import COMPACT_LINES, MaildirIndex
from mail.place import Place
from tests.doubles.desk import FastClock
from tests.doubles.maildir_box import keys, made, put, read_all


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path)


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
