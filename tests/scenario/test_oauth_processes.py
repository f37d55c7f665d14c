"""Two processes renew the sign-in of one mailbox: one flight at a time, and none is lost."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from desk.ids import MailboxId
from desk.ports import SystemClock
from desk.store import Store
from desk.vault import open_vault
from mail.http import Http
from mail.oauth import Account, Client, SignIn, TokenSource
from mail.tokens import StoredTokens
from tests.doubles.oauth import oauth_server

CALLS = 8
ACCOUNT = Account("support", "gmail", "support@example.com")


def worker(url: str, key: Path, id: MailboxId, client: Client, kill_at: int) -> None:
    """A process that needs a token again and again; at call ``kill_at`` it dies in the middle."""
    asyncio.run(_asks(url, key, id, client, kill_at))


async def _asks(url: str, key: Path, id: MailboxId, client: Client, kill_at: int) -> None:
    clock = SystemClock()
    async with Store.open(url, open_vault(key), clock) as store, Http(timeout=10) as http:
        source = TokenSource(ACCOUNT, client, StoredTokens(store, id), http, clock)
        for call in range(CALLS):
            asking = asyncio.create_task(source())
            if call == kill_at:
                await asyncio.sleep(0.02)
                asking.cancel()  # whoever asked is gone, and then the process ends in good order
                break
            assert await asking
        await source.close()


@pytest.mark.parametrize("kill_at", [CALLS, 3])
async def test_two_processes_renew_by_turns(
    store: Store, sqlite_url: str, tmp_path: Path, kill_at: int
) -> None:
    """Each refresh token is good once: a second flight with one would end the sign-in."""
    async with store.change() as change:
        id = (await change.add_mailbox("support", "support@example.com", "gmail")).id
    nursery = multiprocessing.get_context("forkserver")
    nursery.set_forkserver_preload([__name__])
    async with oauth_server() as server:
        server.lifetime = 120  # due at once, so that every call is a renewal
        server.delay = 0.02
        tokens = StoredTokens(store, id)
        await tokens.replace(SignIn(refresh=server.refresh_token()))
        about = (sqlite_url, tmp_path / "key", id, server.client)
        processes = [
            nursery.Process(target=worker, args=(*about, kill)) for kill in (CALLS, kill_at)
        ]
        for process in processes:
            process.start()
        await asyncio.to_thread(_join, processes)
        assert [process.exitcode for process in processes] == [0, 0]
        used = [form["refresh_token"] for form in server.requests]
        # who asks while the other renews may get the token that is still good: how many is chance
        assert len(used) == len(set(used)) > 1
        assert server.peak == 1
        kept = await tokens.load()
        assert kept is not None
        assert not kept.is_ended
        assert [token for token, is_good in server.live.items() if is_good] == [kept.refresh]
        assert await tokens.save(replace(kept, renewing_until=None))


def _join(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.join(40)
