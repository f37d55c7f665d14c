"""Renewing what a sign-in gave, with an OAuth server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from desk.errors import DeskError, Misconfigured, Transient
from desk.ids import MailboxId
from desk.store import Store
from mail.http import Http
from mail.oauth import LEASE, Account, SignIn, TokenSource
from mail.tokens import StoredTokens
from tests.doubles.desk import FastClock
from tests.doubles.oauth import OAuthServer, oauth_server

SUPPORT = Account("support", "gmail", "support@example.com")


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with oauth_server() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(timeout=5) as http:
        yield http


async def mailbox_of(store: Store) -> MailboxId:
    async with store.change() as change:
        return (await change.add_mailbox("support", "support@example.com", "gmail")).id


class Worker:
    """One process' view of the mailbox's sign-in."""

    def __init__(self, store: Store, id: MailboxId, server: OAuthServer, http: Http) -> None:
        self.tokens = StoredTokens(store, id)
        self.source = TokenSource(SUPPORT, server.client, self.tokens, http, store.clock)


async def workers(store: Store, server: OAuthServer, http: Http, count: int) -> list[Worker]:
    """All of one mailbox, which a person has signed in."""
    id = await mailbox_of(store)
    await StoredTokens(store, id).replace(SignIn(refresh=server.refresh_token()))
    return [Worker(store, id, server, http) for _ in range(count)]


async def stored(worker: Worker) -> SignIn:
    found = await worker.tokens.load()
    assert found is not None
    return found


# -- renewing


async def test_a_token_is_used_until_two_minutes_before_its_end(
    store: Store, clock: FastClock, server: OAuthServer, http: Http
) -> None:
    [worker] = await workers(store, server, http, 1)
    first = await worker.source()
    clock.forward(seconds=3600 - 121)
    assert await worker.source() == first
    clock.forward(seconds=2)
    assert await worker.source() == server.access[-1] != first
    assert len(server.requests) == 2


async def test_a_token_that_is_said_to_last_for_ages_is_used_for_a_day(
    store: Store, clock: FastClock, server: OAuthServer, http: Http
) -> None:
    [worker] = await workers(store, server, http, 1)
    server.lifetime = 10**15
    first = await worker.source()
    clock.forward(hours=23)
    assert await worker.source() == first
    clock.forward(hours=1)
    assert await worker.source() != first


async def test_two_workers_renew_once_and_share_what_came(
    any_store: Store, clock: FastClock, server: OAuthServer, http: Http
) -> None:
    """The refresh token is good once: a second flight with it would end the sign-in."""
    pair = await workers(any_store, server, http, 2)
    server.delay = 0.2
    for _ in range(4):
        tokens = await asyncio.gather(*(worker.source() for worker in pair for _ in range(5)))
        assert set(tokens) == {server.access[-1]}
        clock.forward(hours=2)
    assert len(server.requests) == 4
    assert len({form["refresh_token"] for form in server.requests}) == 4


async def test_while_another_renews_a_token_that_is_still_good_is_used(
    store: Store, clock: FastClock, server: OAuthServer, http: Http
) -> None:
    one, two = await workers(store, server, http, 2)
    old = await one.source()
    assert await two.source() == old
    clock.forward(seconds=3600 - 60)
    server.hold()
    renewing = asyncio.create_task(one.source())
    await server.until_asked()
    assert await two.source() == old
    server.release()
    assert await renewing != old


async def test_a_renewed_token_is_stored_sealed_before_anybody_uses_it(
    store: Store, server: OAuthServer, http: Http
) -> None:
    [worker] = await workers(store, server, http, 1)
    token = await worker.source()
    kept = await stored(worker)
    assert (kept.access, server.live[kept.refresh]) == (token, True)
    raw = await store.sign_in(worker.tokens.mailbox)
    assert raw is not None
    async with store.read() as connection:
        rows = await connection.exec_driver_sql("SELECT sealed FROM sign_ins")
        [sealed] = rows.scalars()
    assert token.encode() not in sealed
    assert kept.refresh.encode() not in sealed


async def test_a_worker_that_died_while_renewing_holds_it_up_for_a_lease_only(
    store: Store, clock: FastClock, server: OAuthServer, http: Http
) -> None:
    [worker] = await workers(store, server, http, 1)
    kept = await stored(worker)
    assert await worker.tokens.save(replace(kept, renewing_until=clock.now() + LEASE))
    waiting = asyncio.create_task(worker.source())
    await asyncio.sleep(0.3)
    assert not waiting.done()
    clock.forward(seconds=LEASE.total_seconds())
    assert await waiting == server.access[-1]


async def test_a_token_that_the_server_refuses_is_renewed_although_it_looks_good(
    store: Store, server: OAuthServer, http: Http
) -> None:
    one, two = await workers(store, server, http, 2)
    old = await one.source()
    fresh = await one.source.renewed(old)
    assert fresh != old
    assert await two.source.renewed(old) == fresh  # somebody did it already
    assert len(server.requests) == 2


async def test_a_renewal_goes_on_when_whoever_asked_is_cancelled(
    store: Store, server: OAuthServer, http: Http
) -> None:
    [worker] = await workers(store, server, http, 1)
    server.hold()
    asking = asyncio.create_task(worker.source())
    await server.until_asked()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await closed(worker, server)
    assert server.live[(await stored(worker)).refresh]


async def closed(worker: Worker, server: OAuthServer) -> None:
    """The process ends while the service has not answered yet."""
    closing = asyncio.create_task(worker.source.close())
    await asyncio.sleep(0.02)
    assert not closing.done()
    server.release()
    await closing


async def test_a_process_that_ends_waits_for_every_renewal_that_goes_on(
    store: Store, clock: FastClock, server: OAuthServer, http: Http
) -> None:
    """Whoever asked went away, and somebody else was given the token that is still good."""
    [worker] = await workers(store, server, http, 1)
    old = await worker.source()
    clock.forward(seconds=3600 - 60)
    server.hold()
    asking = asyncio.create_task(worker.source())
    await server.until_asked()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await worker.source() == old
    await closed(worker, server)
    fresh = await stored(worker)
    assert fresh.access != old
    assert server.live[fresh.refresh]


async def test_somebody_who_tried_the_old_refresh_token_ends_no_sign_in_that_was_renewed(
    store: Store, server: OAuthServer, http: Http
) -> None:
    """Our lease had ended: another asked with the token that our renewal had used up."""
    [worker] = await workers(store, server, http, 1)
    server.hold()
    renewing = asyncio.create_task(worker.source())
    await server.until_asked()
    assert await worker.tokens.save(replace(await stored(worker), is_ended=True))
    server.release()
    assert await renewing == server.access[-1]
    kept = await stored(worker)
    assert (kept.is_ended, server.live[kept.refresh]) == (False, True)


# -- what can go wrong


async def test_a_sign_in_that_has_ended_says_so_and_asks_no_more_until_somebody_signs_in(
    store: Store, server: OAuthServer, http: Http
) -> None:
    one, two = await workers(store, server, http, 2)
    server.live.clear()
    remedy = (
        r"Sign in to support@example\.com with `python app\.py mailbox add gmail --name support`"
    )
    for worker in (one, two, one):
        with pytest.raises(Misconfigured, match=f"support needs sign-in: .*{remedy}"):
            await worker.source()
    assert len(server.requests) == 1
    await one.tokens.replace(SignIn(refresh=server.refresh_token()))
    assert await two.source() == server.access[-1]


async def test_a_mailbox_that_nobody_signed_in_says_so(
    store: Store, server: OAuthServer, http: Http
) -> None:
    worker = Worker(store, await mailbox_of(store), server, http)
    with pytest.raises(Misconfigured, match=r"support is not signed in\. .*mailbox add gmail"):
        await worker.source()


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (503, "", Transient),
        (429, "", Transient),
        (400, "temporarily_unavailable", Transient),
        (401, "invalid_client", Misconfigured),
        (400, "unauthorized_client", Misconfigured),
    ],
)
async def test_a_service_that_does_not_renew_now_ends_nothing(
    store: Store,
    server: OAuthServer,
    http: Http,
    status: int,
    error: str,
    expected: type[DeskError],
) -> None:
    [worker] = await workers(store, server, http, 1)
    server.stumbles.append((status, error))
    with pytest.raises(expected):
        await worker.source()
    assert await worker.source() == server.access[-1]


async def test_while_the_service_is_away_a_token_that_is_still_good_is_used(
    store: Store, clock: FastClock, server: OAuthServer, http: Http
) -> None:
    [worker] = await workers(store, server, http, 1)
    old = await worker.source()
    clock.forward(seconds=3600 - 60)
    server.stumbles.append((500, ""))
    assert await worker.source() == old
    assert await worker.source() != old


async def test_the_refresh_token_stays_where_none_comes_with_the_answer(
    store: Store, clock: FastClock, server: OAuthServer, http: Http
) -> None:
    [worker] = await workers(store, server, http, 1)
    server.rotates = False
    await worker.source()
    clock.forward(hours=1)
    await worker.source()
    assert {form["refresh_token"] for form in server.requests} == {"refresh-1"}
