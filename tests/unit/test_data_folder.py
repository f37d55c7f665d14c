"""The data folder: private if it is made here, else left alone; our files always are private."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from cli.logs import opened_log
from cli.records import first_user, make_folder, opened_store
from desk.settings import Settings
from desk.store import Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files_in(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """For example /srv, or a volume that a group backs up."""
    tmp_path.chmod(0o755)
    return tmp_path


def test_a_folder_that_is_made_here_is_private(tmp_path: Path) -> None:
    assert mode(make_folder(tmp_path / "new" / "desk")) == 0o700


async def test_a_folder_that_was_there_keeps_its_mode_and_our_files_are_private(
    open_folder: Path,
) -> None:
    async with opened_store(Settings(data=open_folder)) as store:
        await store.users()
        opened_log(open_folder / "maildesk.log").close()
        files = files_in(open_folder)
    assert mode(open_folder) == 0o755
    assert {"key", "desk.db", "desk.db-wal", "maildesk.log"} <= set(files)
    assert set(files.values()) == {0o600}


async def test_processes_that_start_at_once_have_the_same_first_user(store: Store) -> None:
    users = await asyncio.gather(*(first_user(store) for _ in range(4)))
    assert users == await store.users() * 4
