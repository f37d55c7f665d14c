"""Many who write at once: in turn, and without taking the connections of those who read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from desk.engine import upgrade
from desk.errors import Transient
from desk.store import Store
from tests.doubles.desk import new_vault

CROWD = 40  # more than a pool has connections


async def test_a_crowd_of_writers_does_not_keep_readers_out(any_store: Store) -> None:
    written: list[int] = []

    async def write(number: int) -> None:
        async with any_store.change() as change:
            change.audit("look", f"crowd:{number}", None, {})
        written.append(number)

    async with any_store.change():
        crowd = [asyncio.create_task(write(number)) for number in range(CROWD)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            assert (await any_store.verify()).ok
        assert written == []
    await asyncio.gather(*crowd)
    assert sorted(written) == list(range(CROWD))
    assert (await any_store.verify()).entries == CROWD


async def test_on_sqlite_who_waited_longest_is_next(store: Store) -> None:
    written: list[int] = []

    async def write(number: int) -> None:
        async with store.change() as change:
            written.append(number)
            change.audit("look", f"crowd:{number}", None, {})

    await asyncio.gather(*(write(number) for number in range(CROWD)))
    assert written == list(range(CROWD))


async def test_whose_turn_does_not_come_tries_again_later(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'desk.db'}"
    await upgrade(url)
    async with Store.open(f"{url}?timeout=0.3", new_vault(tmp_path)) as store:
        async with store.change():
            before = time.monotonic()
            for _ in range(2):
                with pytest.raises(Transient):
                    async with store.change():
                        raise AssertionError("two write at once")
            assert time.monotonic() - before < 5
        async with store.change() as change:
            change.audit("look", "turn:1", None, {})
