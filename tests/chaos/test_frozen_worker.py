"""A worker stands still between its last look and the mail, longer than its lease, and goes on when
others have taken over: what was approved leaves once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from desk.action import ActionRequest, Result, Seen
from desk.actions import Actions
from desk.engine import upgrade
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import User
from desk.response import Response, ResponseState
from desk.steps import Step
from desk.store import Store
from tests.chaos.test_sending_faults import with_drafts
from tests.doubles.crew import Post, Worker
from tests.doubles.databases import new_database
from tests.doubles.desk import new_vault, review
from tests.doubles.redis import RealRedis
from tests.doubles.smtp_fates import Fates
from tests.doubles.smtpd import Smtpd, smtpd
from tests.doubles.waiting import until_so
from workers.queue import RedisQueue

IS_FULL = os.environ.get("MAILDESK_CHAOS") == "full"
ONLY = frozenset({Step.SENDING})
CUSTOMER = "c1@customer.example"
LOOKED = "after its last look"
PLACES = {
    "before it reaches the mail server": "sending.marked=delay:3",
    LOOKED: "sending.looked=delay:3@1",
}


@dataclass
class Scene:
    """One approved reply, a worker that stood still over it, and the people."""

    post: Post
    store: Store
    actions: Actions
    server: Smtpd
    ann: User
    omar: User

    @property
    def left(self) -> int:
        assert self.server.fates is not None
        return self.server.fates.count()[CUSTOMER]

    async def response(self) -> Response:
        response = (await self.store.view(TicketId(1))).response
        assert response is not None
        return response

    async def act(self, user: User, verb: Verb) -> None:
        response = await self.response()
        seen = Seen(response.id, response.version, response.hash)
        key = f"{verb}-{response.version}"
        request = ActionRequest(key, user, verb, TicketId(1), seen, confirmed=True)
        assert (await self.actions.act(request)).result is Result.DONE

    async def until(self, state: ResponseState, tries: int = 0) -> None:
        async def is_so() -> bool:
            response = await self.response()
            return response.state is state and response.tries >= tries

        await until_so(is_so)

    async def frozen(self, place: str) -> Worker:
        """A worker that stopped in the middle of sending."""
        worker = Worker(replace(self.post, faults=PLACES[place]), ONLY)
        await self.act(self.ann, Verb.APPROVE)
        await self.until(ResponseState.SENDING)

        async def has_begun() -> bool:
            return self.server.begun > 0

        if place == LOOKED:
            await until_so(has_begun)
            await asyncio.sleep(0.5)
        worker.freeze()
        return worker

    async def thawed(self, worker: Worker, place: str) -> None:
        """It went on, until it had nothing more to do."""
        await asyncio.sleep(3)  # the delay at the fail point is over: it goes on at once
        before = self.server.ended
        worker.thaw()

        async def has_hung_up() -> bool:
            return self.server.ended > before

        if place == LOOKED:
            await until_so(has_hung_up)
        else:  # its lease may end before it reaches the mail server at all
            await asyncio.sleep(4)


@pytest_asyncio.fixture(params=["sqlite", "postgres"] if IS_FULL else ["sqlite"])
async def scene(
    tmp_path: Path, real_redis: RealRedis, request: pytest.FixtureRequest
) -> AsyncIterator[Scene]:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "mail" / name).mkdir(parents=True)
    url = ""
    if request.param == "postgres":
        url = await new_database(request.getfixturevalue("postgres_socket"))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(smtpd())
        server.fates = Fates()
        post = Post(tmp_path, real_redis.url, "{frozen}", server.port, database=url)
        await upgrade(post.url)
        new_vault(tmp_path)
        store = await stack.enter_async_context(post.store())
        queue = await stack.enter_async_context(RedisQueue(post.redis, post.prefix))
        await with_drafts(store, 1)
        ann, omar = await store.users()
        actions = Actions(store, queue, review, timedelta(milliseconds=100))
        yield Scene(post, store, actions, server, ann, omar)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("place", PLACES)
async def test_what_a_person_had_sent_again_meanwhile_leaves_once(scene: Scene, place: str) -> None:
    frozen = await scene.frozen(place)
    other = Worker(scene.post, ONLY)
    try:
        await scene.until(ResponseState.UNKNOWN, tries=1)
        await scene.act(scene.omar, Verb.SEND_AGAIN)
        await scene.act(scene.ann, Verb.APPROVE)
        await scene.until(ResponseState.SENT)
        assert scene.left == 1
        await scene.thawed(frozen, place)
    finally:
        frozen.kill()
        other.kill()
    assert scene.left == 1, "the worker that stood still has sent it as well"
    assert (await scene.response()).state is ResponseState.SENT
    assert (await scene.store.verify()).ok


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_what_is_unknown_by_then_is_left_to_a_person(scene: Scene) -> None:
    frozen = await scene.frozen(LOOKED)
    other = Worker(scene.post, ONLY)
    try:
        await scene.until(ResponseState.UNKNOWN, tries=1)
        await scene.thawed(frozen, LOOKED)
        assert (scene.left, (await scene.response()).state) == (0, ResponseState.UNKNOWN)
        await scene.act(scene.omar, Verb.SEND_AGAIN)
        await scene.act(scene.ann, Verb.APPROVE)
        await scene.until(ResponseState.SENT)
    finally:
        frozen.kill()
        other.kill()
    assert scene.left == 1
