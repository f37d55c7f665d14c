"""The console through its doors: HTTP and WebSocket, on a real store."""

from __future__ import annotations

import asyncio
import io
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import (
    ClientResponse,
    ClientWebSocketResponse,
    FormData,
    WSServerHandshakeError,
    web,
)
from aiohttp.test_utils import TestClient, TestServer

from bot.commands import Commands
from bot.console import draw
from bot.console.connect import NO_SESSION, SCRIPT, Console
from bot.console.hub import LocalHub, RedisHub
from bot.console.post import COALESCE, REREAD
from bot.console.session import Sessions
from desk.actions import Actions
from desk.errors import Misconfigured, Transient
from desk.files import MAX_BYTES
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import Role, User
from desk.response import ResponseState
from desk.standing import standing
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.databases import Engines
from tests.doubles.desk import FastClock, Scene, drafted, mail, new_vault, received, scene
from tests.doubles.redis import RealRedis
from tests.doubles.slack_office import SlowStore
from tests.doubles.views import ANN, a_view

Client = TestClient[web.Request, web.Application]


TOLD = 0.8 * REREAD
"""Seconds in which a page is told; later it would find out by itself."""


class Desk:
    """A served console and the scene behind it."""

    def __init__(self, scene: Scene, console: Console, client: Client, clock: FastClock) -> None:
        self.scene = scene
        self.console = console
        self.client = client
        self.clock = clock

    async def login(self, user: User | None = None) -> ClientResponse:
        token = self.console.new_token((user or self.scene.ann).id)
        return await self.client.get("/login", params={"token": token})

    def origin(self) -> str:
        return str(self.client.make_url("/")).rstrip("/")

    @asynccontextmanager
    async def page(self, user: User | None = None) -> AsyncIterator[Line]:
        await self.login(user)
        async with self.client.ws_connect("/ws", headers={"Origin": self.origin()}) as socket:
            yield Line(socket)


class Line:
    """What a page says and hears."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self._heard: list[dict[str, Any]] = []

    async def hear(
        self, type: str, where: Callable[[dict[str, Any]], bool] = bool, **more: object
    ) -> dict[str, Any]:
        """The next message of this type in which everything in ``more`` is so. What comes before
        it is kept for later."""
        heard, self._heard = self._heard, []
        async with asyncio.timeout(TOLD):
            while True:
                said = heard.pop(0) if heard else await self.socket.receive_json()
                is_so = said["type"] == type and all(said[k] == v for k, v in more.items())
                if is_so and where(said):
                    self._heard += heard
                    return dict(said)
                self._heard.append(said)

    async def rest(self) -> list[dict[str, Any]]:
        """What was not heard yet, until the line is silent."""
        with suppress(TimeoutError):
            while True:
                self._heard.append(await self.socket.receive_json(timeout=0.3))
        return self._heard

    async def open(self, id: TicketId) -> dict[str, Any]:
        await self.socket.send_json({"type": "open", "id": id})
        return await self.hear("card", id=id)

    async def press(self, card: dict[str, Any], title: str, **more: object) -> str:
        """Press the button with this title, as adaptivecards reports it."""
        key = uuid.uuid4().hex
        data = {**button(card["card"], title)["data"], **more}
        await self.socket.send_json({"type": "act", "key": key, "data": data})
        return key

    async def command(self, line: str) -> None:
        message = {"type": "command", "line": line, "key": uuid.uuid4().hex}
        await self.socket.send_json(message)


async def second_ticket(at: Scene) -> TicketId:
    box = (await at.store.mailboxes())[0]
    async with at.store.change() as change:
        new = received(mail("The second one"), "2")
        ticket = await change.open_ticket(box.id, new, 2.0)
        email = await change.receive(ticket, new)
    await drafted(at.store, ticket.id, email.id, "Hello")
    return ticket.id


def button(node: Any, title: str) -> dict[str, Any]:
    """The Action.Execute with this title, wherever it is."""
    found = list(_buttons(node, title))
    assert found, f"no button {title}"
    return found[0]


def _buttons(node: Any, title: str) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "Action.Execute" and node["title"] == title:
            return [node]
        node = list(node.values())
    return [b for child in node for b in _buttons(child, title)] if isinstance(node, list) else []


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / SCRIPT).write_text("// cards")
    return folder


@pytest_asyncio.fixture
async def desk(
    tmp_path: Path, sqlite_url: str, scripts: Path, clock: FastClock, engines: Engines
) -> AsyncIterator[Desk]:
    async with Store(engines.at(sqlite_url), new_vault(tmp_path), clock) as store:
        made = await scene(store)
        commands = Commands(store, made.actions)
        console = Console(store, made.actions, commands, LocalHub(), scripts, ("desk.example",))
        async with serving(console) as client:
            yield Desk(made, console, client, clock)


@asynccontextmanager
async def serving(console: Console) -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(console.routes())
    async with TestClient(TestServer(app)) as client:
        background = asyncio.create_task(console.run())
        yield client
        background.cancel()
        with suppress(asyncio.CancelledError):
            await background


# -- the way in


async def test_the_printed_address_leads_to_the_page(desk: Desk) -> None:
    answer = await desk.login()
    assert answer.status == 200
    assert "Maildesk" in await answer.text()
    assert answer.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    (cookie,) = answer.history[0].cookies.values()
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"


async def test_a_token_opens_one_session_only(desk: Desk) -> None:
    token = desk.console.new_token(desk.scene.ann.id)
    first = await desk.client.get("/login", params={"token": token}, allow_redirects=False)
    assert first.status == 303
    desk.client.session.cookie_jar.clear()
    second = await desk.client.get("/login", params={"token": token})
    assert second.status == 403
    assert "address that Maildesk printed" in await second.text()
    assert not second.cookies


async def test_the_printed_address_works_again_in_the_browser_that_used_it(desk: Desk) -> None:
    token = desk.console.new_token(desk.scene.ann.id)
    for _ in range(2):
        answer = await desk.client.get("/login", params={"token": token})
        assert answer.status == 200


async def test_a_link_checker_does_not_use_the_token_up(desk: Desk) -> None:
    token = desk.console.new_token(desk.scene.ann.id)
    assert (await desk.client.head("/login", params={"token": token})).status == 405
    answer = await desk.client.get("/login", params={"token": token})
    assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/ws", "/login", "/login?token=guess"])
async def test_without_a_session_there_is_one_sentence_what_to_do(desk: Desk, path: str) -> None:
    answer = await desk.client.get(path)
    assert answer.status == 403
    assert NO_SESSION in await answer.text()


async def test_a_link_from_elsewhere_asks_again_with_the_cookie(desk: Desk) -> None:
    answer = await desk.client.get("/", headers={"Sec-Fetch-Site": "cross-site"})
    assert 'http-equiv="refresh"' in await answer.text()
    answer = await desk.client.get("/", headers={"Sec-Fetch-Site": "same-origin"})
    assert 'http-equiv="refresh"' not in await answer.text()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[", ""])
async def test_a_foreign_name_for_this_machine_is_refused(desk: Desk, host: str) -> None:
    await desk.login()
    for path in ("/", "/ws", "/static/page.js"):
        answer = await desk.client.get(path, headers={"Host": host})
        assert answer.status in (400, 421)


@pytest.mark.parametrize("host", ["localhost:8080", "desk.example", "DESK.example:443", "[::1]:80"])
async def test_our_own_names_are_served(desk: Desk, host: str) -> None:
    answer = await desk.client.get("/static/page.js", headers={"Host": host})
    assert answer.status == 200


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_other_sites_get_no_line(desk: Desk, origin: str | None) -> None:
    await desk.login()
    headers = {"Origin": origin} if origin else {}
    with pytest.raises(WSServerHandshakeError) as refused:
        await desk.client.ws_connect("/ws", headers=headers)
    assert refused.value.status == 403


async def test_all_files_of_the_page_are_there(desk: Desk) -> None:
    await desk.login()
    page = await (await desk.client.get("/")).text()
    names = [part.split('"')[0] for part in page.split('"/static/')[1:]]
    assert SCRIPT in names
    for name in [*names, "card.js", "queue.js", "look.js", "pointer.js"]:
        assert (await desk.client.get(f"/static/{name}")).status == 200, name


async def test_without_the_script_it_says_what_to_run(desk: Desk, tmp_path: Path) -> None:
    made = desk.scene
    commands = Commands(made.store, made.actions)
    console = Console(made.store, made.actions, commands, LocalHub(), tmp_path / "nowhere")
    with pytest.raises(Misconfigured, match="make setup"):
        console.routes()


def test_tokens_and_sessions_end() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    ann = desk_user()
    late = sessions.new_token(ann)
    now[0] = 25 * 3600
    assert sessions.redeem(late) is None
    session = sessions.redeem(sessions.new_token(ann))
    assert session
    now[0] += 23 * 3600
    assert sessions.user(session) == ann  # and it lives on from here
    now[0] += 23 * 3600
    assert sessions.user(session) == ann
    now[0] += 25 * 3600
    assert sessions.user(session) is None
    assert sessions.user("") is None


def desk_user() -> Any:
    return 1


# -- what a page sees


async def test_a_page_is_told_the_queue_and_opens_a_ticket(desk: Desk) -> None:
    async with desk.page() as line:
        queue = await line.hear("queue")
        (row,) = queue["rows"]
        assert row["subject"] == "Nobody in our office can log in"
        assert (row["who"], row["urgency"]) == ("Priya Nair", "critical")
        assert queue["counts"] == {"waiting": 1, "is_more": False, "reading": 0, "sent": 0}
        card = await line.open(row["id"])
        assert card["card"]["type"] == "AdaptiveCard"
        assert "nobody can log in" in (await line.hear("mail"))["text"]


def test_a_queue_that_is_longer_than_the_list_says_so() -> None:
    for waiting, is_more in ((99, False), (100, False), (101, True)):
        told: Any = draw.queue([a_view()] * waiting, {}, ANN)
        assert told["counts"]["is_more"] is is_more
        assert told["counts"]["waiting"] == len(told["rows"]) == min(waiting, 100)


async def test_approving_shows_when_it_leaves_and_undo_takes_it_back(desk: Desk) -> None:
    async with desk.page() as line:
        card = await line.open(desk.scene.ticket.id)
        key = await line.press(card, "Approve & send")
        await line.hear("done", key=key)
        card = await line.hear("card")
        assert card["status"].startswith("Approved by Ann, leaves")
        assert card["leaves_at"]
        await line.hear("queue", lambda said: said["rows"][0]["status"] == card["status"])
        await line.press(card, "Undo")
        card = await line.hear("card")
        assert button(card["card"], "Approve & send")
    assert await desk.scene.verbs() == ["receive", "triage", "draft", "claim", "approve", "undo"]


async def test_the_other_pages_are_told_too(desk: Desk) -> None:
    async with desk.page() as mine, desk.page(desk.scene.omar) as other:
        card = await mine.open(desk.scene.ticket.id)
        await other.open(desk.scene.ticket.id)
        await mine.press(card, "Claim")
        assert "Claimed\\xa0by" in str((await other.hear("card"))["card"])
        queue = await other.hear("queue", lambda said: said["rows"][0]["assignee"] == "Ann")
        assert not queue["rows"][0]["is_mine"]


async def test_a_change_after_a_quiet_time_is_told_at_once(desk: Desk) -> None:
    made, seconds = desk.scene, []
    async with desk.page() as line:
        await line.hear("queue")
        for verb in (Verb.CLAIM, Verb.RELEASE, Verb.CLAIM):
            await asyncio.sleep(2 * COALESCE)
            started = time.monotonic()
            await made.actions.act(await made.request(verb))
            await desk.console.hub.publish(made.ticket.id)
            is_claimed = verb is Verb.CLAIM
            await line.hear("queue", lambda said: bool(said["rows"][0]["assignee"]) == is_claimed)  # noqa: B023
            seconds.append(time.monotonic() - started)
    assert min(seconds) < COALESCE, seconds  # a busy machine may take longer once


async def test_a_late_click_is_told_who_was_faster(desk: Desk) -> None:
    async with desk.page() as mine, desk.page(desk.scene.omar) as other:
        card = await mine.open(desk.scene.ticket.id)
        await other.open(desk.scene.ticket.id)
        await mine.press(card, "Approve & send")
        await mine.hear("done")
        key = await other.press(card, "Approve & send")
        note = await other.hear("note", key=key)
        assert "Ann" in note["text"]
    assert (await desk.scene.verbs()).count("approve") == 1


async def test_the_same_click_twice_is_done_once(desk: Desk) -> None:
    async with desk.page() as line:
        card = await line.open(desk.scene.ticket.id)
        data = button(card["card"], "Approve & send")["data"]
        message = {"type": "act", "key": "the-very-same", "data": data}
        for _ in range(2):
            await line.socket.send_json(message)
            await line.hear("done", key="the-very-same")
    assert (await desk.scene.verbs()).count("approve") == 1


async def test_saving_is_not_sending(desk: Desk) -> None:
    async with desk.page() as line:
        card = await line.open(desk.scene.ticket.id)
        seen = card["seen"]
        field = f"edit_{seen['id']}_{seen['version']}"
        await line.press(card, "Save draft", **{field: "Hello Priya, it works again."})
        await line.hear("done")
        card = await line.hear("card")
        assert "it works again" in str(card["card"])
    response = await desk.scene.response()
    assert response
    assert response.state is ResponseState.DRAFT
    assert response.edited_by == desk.scene.ann.id


async def test_text_typed_on_an_old_draft_is_refused_not_lost(desk: Desk) -> None:
    async with desk.page() as mine, desk.page(desk.scene.omar) as other:
        old = await mine.open(desk.scene.ticket.id)
        await other.open(desk.scene.ticket.id)
        field = f"edit_{old['seen']['id']}_{old['seen']['version']}"
        await other.press(old, "Save draft", **{field: "Omar's text"})
        await other.hear("done")
        key = await mine.press(old, "Save & send", **{field: "Ann's text"})
        note = await mine.hear("note", key=key)
        assert "changed after this card was drawn" in note["text"]
    response = await desk.scene.response()
    assert response
    assert response.envelope.text == "Omar's text"


async def test_a_blocking_finding_asks_and_a_yes_goes_on(desk: Desk) -> None:
    async with desk.page() as line:
        card = await line.open(desk.scene.ticket.id)
        field = f"edit_{card['seen']['id']}_{card['seen']['version']}"
        text = {field: "My IBAN is DE00"}
        key = await line.press(card, "Save & send", **text)
        note = await line.hear("note", key=key)
        assert note["confirm"]
        await line.press(card, "Save & send", **text, confirmed=True)
        await line.hear("done")
    response = await desk.scene.response()
    assert response
    assert response.state is ResponseState.APPROVED


async def test_who_begins_to_type_is_named_to_the_others(desk: Desk) -> None:
    async with desk.page() as mine, desk.page(desk.scene.omar) as other:
        card = await mine.open(desk.scene.ticket.id)
        theirs = await other.open(desk.scene.ticket.id)
        await mine.press(card, "Approve & send", verb="start_edit")
        assert (await mine.hear("card"))["is_editing"]
        told = await other.hear("card")
        assert (told["status"], told["is_editing"]) == ("Ann is editing", False)
        key = await other.press(theirs, "Approve & send", verb="start_edit")
        assert (await other.hear("note", key=key))["confirm"]


@pytest_asyncio.fixture
async def slow_desk(slow_store: SlowStore, scripts: Path, clock: FastClock) -> AsyncIterator[Desk]:
    made = await scene(slow_store)
    commands = Commands(slow_store, made.actions)
    console = Console(slow_store, made.actions, commands, LocalHub(), scripts)
    async with serving(console) as client:
        yield Desk(made, console, client, clock)


def held(desk: Desk) -> SlowStore:
    assert isinstance(desk.scene.store, SlowStore)
    desk.scene.store.hold()
    return desk.scene.store


async def test_presses_are_acknowledged_while_the_records_are_slow(slow_desk: Desk) -> None:
    async with slow_desk.page() as line:
        card = await line.open(slow_desk.scene.ticket.id)
        store = held(slow_desk)
        keys = [await line.press(card, "Approve & send") for _ in range(5)]
        for key in keys:
            await line.hear("taken", key=key)
        store.let_go()
        done = (await line.hear("done"))["key"]
        for key in set(keys) - {done}:
            assert "Approved by Ann" in (await line.hear("note", key=key))["text"]
    assert (await slow_desk.scene.verbs()).count("approve") == 1


async def test_what_a_page_does_to_one_ticket_keeps_its_order(slow_desk: Desk) -> None:
    async with slow_desk.page() as line:
        card = await line.open(slow_desk.scene.ticket.id)
        store = held(slow_desk)
        field = f"edit_{card['seen']['id']}_{card['seen']['version']}"
        await line.press(card, "Claim", verb="start_edit")
        await line.press(card, "Save draft", **{field: "Hello Priya, soon."})
        await line.press(card, "Claim")
        await line.command("1 release")
        store.let_go()
        await line.hear("reply")
    # saving ends what start_edit began
    acts = ["start_edit", "start_edit", "edit", "claim", "release"]
    assert (await slow_desk.scene.verbs())[-5:] == acts


async def test_the_ticket_that_was_opened_last_is_the_one_that_is_shown(slow_desk: Desk) -> None:
    first, other = slow_desk.scene.ticket.id, await second_ticket(slow_desk.scene)
    async with slow_desk.page() as line:
        await line.open(first)
        await line.hear("mail", id=first)
        await asyncio.sleep(2 * COALESCE)  # the page has been told all that there is
        store = held(slow_desk)
        for id in (first, other):
            await line.socket.send_json({"type": "open", "id": id})
            await asyncio.sleep(0.05)  # the first is being read meanwhile
        store.let_go()
        await line.hear("card", id=other)
        await line.hear("mail", id=other)
        assert not [said for said in await line.rest() if said.get("id") == first]


async def test_a_sent_ticket_leaves_the_queue_and_stays_reachable(desk: Desk) -> None:
    made = desk.scene
    async with desk.page() as line:
        card = await line.open(made.ticket.id)
        await line.press(card, "Approve & send")
        await line.hear("done")
        await deliver(made)
        await desk.console.hub.publish(made.ticket.id)
        sent = standing(await made.store.view(made.ticket.id))
        assert sent.startswith("Sent by Ann")
        await line.hear("card", status=sent)
        await line.hear("queue", rows=[])
        await line.command(f"show {made.ticket.id}")
        await line.hear("card", status=sent)
        assert await line.hear("mail", is_open=True)


async def deliver(made: Scene) -> None:
    for verb in (Verb.SEND, Verb.DELIVER):
        async with made.store.change() as change:
            response = await change.live_response(made.ticket.id)
            assert response
            await change.move_response(response, verb, {"sent_at": change.now})
    async with made.store.change() as change:
        await change.move_ticket(await change.ticket(made.ticket.id), Verb.DELIVER)
    assert (await made.store.ticket(made.ticket.id)).state is TicketState.WAITING


async def deliver_approved(made: Scene) -> None:
    await made.actions.act(await made.request(Verb.APPROVE))
    await deliver(made)


async def test_commands_are_answered_on_the_page(desk: Desk) -> None:
    async with desk.page() as line:
        await line.command("help")
        assert "queue" in (await line.hear("reply"))["text"]
        await line.command("why 999")
        assert "There is no ticket #999" in (await line.hear("reply"))["text"]
        await line.command(f"{desk.scene.ticket.id} claim")
        assert (await line.hear("card"))["id"] == desk.scene.ticket.id


async def test_a_ticket_of_another_team_is_as_if_it_were_not_there(desk: Desk) -> None:
    made = desk.scene
    async with made.store.change() as change:
        await change.add_mailbox("support", "support@lanewright.example", "maildir", "north")
        sue = await change.add_user("sue@lanewright.example", "Sue", Role.AGENT, "south")
    await deliver_approved(made)
    async with desk.page(sue) as line:
        queue = await line.hear("queue")
        assert queue["rows"] == []
        assert queue["counts"] == {"waiting": 0, "is_more": False, "reading": 0, "sent": 0}
        await line.socket.send_json({"type": "open", "id": made.ticket.id})
        assert "There is no ticket" in (await line.hear("note"))["text"]
        card = {"card": {"type": "Action.Execute", "title": "x", "data": forged(made)}}
        await line.press(card, "x")
        assert "There is no ticket" in (await line.hear("note"))["text"]
    assert (await made.verbs()).count("claim") == 1, "by approving"


def forged(made: Scene) -> dict[str, object]:
    return {"t": made.ticket.id, "r": None, "verb": "claim", "confirmed": True}


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "hello",
        "[]",
        "{}",
        '{"type": "act"}',
        '{"type": "act", "key": "12345678", "data": {"verb": "send", "t": "x"}}',
        '{"type": "act", "key": "", "data": {"verb": "claim", "t": 1, "r": null}}',
        '{"type": "open", "id": "1"}',
        '{"type": "open", "id": 99999999999999999999999}',
        '{"type": "command", "line": 5, "key": "12345678"}',
    ],
)
async def test_nonsense_gets_a_polite_note_and_the_page_goes_on(desk: Desk, nonsense: str) -> None:
    async with desk.page() as line:
        await line.socket.send_str(nonsense)
        assert (await line.hear("note"))["text"]
        assert await line.open(desk.scene.ticket.id)


async def test_a_new_mail_is_seen_without_asking(desk: Desk) -> None:
    made = desk.scene
    async with desk.page() as line:
        await line.hear("queue")
        await desk.console.hub.publish(await second_ticket(made))
        rows = (await line.hear("queue", lambda said: len(said["rows"]) == 2))["rows"]
        assert rows[1]["subject"] == "The second one"


async def test_when_the_database_is_away_the_page_says_so_and_goes_on(
    desk: Desk, scripts: Path
) -> None:
    made = desk.scene
    fragile = FragileStore(made.store.engine, made.store.vault, made.store.clock)
    actions = Actions(fragile, made.queue, made.actions.review)
    console = Console(fragile, actions, Commands(fragile, actions), LocalHub(), scripts)
    async with serving(console) as client:
        other = Desk(made, console, client, desk.clock)
        async with other.page() as line:
            fragile.is_away = True
            await line.socket.send_json({"type": "open", "id": made.ticket.id})
            assert "cannot reach its records" in (await line.hear("note"))["text"]
            fragile.is_away = False
            card = await line.open(made.ticket.id)
            fragile.is_away = True
            # by its key the page knows that it need not wait for this click any more
            key = await line.press(card, "Claim")
            assert "cannot reach its records" in (await line.hear("note", key=key))["text"]


class FragileStore(Store):
    """A store whose database can be away."""

    is_away = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        if self.is_away:
            raise Transient("The database did not answer")
        async with super().read() as connection:
            yield connection


# -- between processes


async def test_another_process_is_told_through_redis_also_after_it_was_away(
    real_redis: RealRedis,
) -> None:
    here, there = RedisHub(real_redis.url), RedisHub(real_redis.url)
    tickets = there.subscribe()
    try:
        async with asyncio.timeout(30):
            assert await anext(tickets) is None  # from now on nothing is missed
            await here.publish(TicketId(7))
            assert await anext(tickets) == 7
            real_redis.kill()
            await here.publish(TicketId(8))  # lost, and nobody fails
            waiting = asyncio.ensure_future(anext(tickets))
            await asyncio.sleep(0.5)
            real_redis.start()
            assert await waiting is None  # read everything again
            await here.publish(TicketId(9))
            assert await anext(tickets) == 9
    finally:
        await tickets.aclose()
        await here.close()
        await there.close()


async def test_foreign_messages_on_the_channel_are_ignored(real_redis: RealRedis) -> None:
    hub = RedisHub(real_redis.url)
    tickets = hub.subscribe()
    try:
        async with asyncio.timeout(10):
            await anext(tickets)
            assert real_redis.ask("PUBLISH {desk}:changed drop-tables").startswith(b":")
            await hub.publish(TicketId(3))
            assert await anext(tickets) == 3
    finally:
        await tickets.aclose()
        await hub.close()


def form(card: dict[str, Any], data: bytes, field: str = "file", **changes: object) -> FormData:
    """What the page sends when a file is chosen."""
    seen = card["seen"]
    about = {"t": card["id"], "r": seen["id"], "v": seen["version"], "h": seen["hash"]}
    made = FormData(quote_fields=False)  # as browsers do
    made.add_field("about", json.dumps({"key": uuid.uuid4().hex, **about, **changes}))
    made.add_field(
        field, io.BytesIO(data), filename="Preise für 2027.pdf", content_type="application/pdf"
    )
    return made


async def test_a_file_is_attached_and_the_card_shows_it(desk: Desk) -> None:
    async with desk.page() as line:
        card = await line.open(desk.scene.ticket.id)
        assert card["takes_files"]
        await asyncio.sleep(2 * COALESCE)  # the page has been told all that there is
        origin = {"Origin": desk.origin()}
        answer = await desk.client.post("/attach", data=form(card, b"%PDF"), headers=origin)
        assert (answer.status, await answer.json()) == (200, {"text": ""})
        drawn = await line.hear("card", where=lambda said: said["version"] > card["version"])
        facts = next(part for part in drawn["card"]["body"] if part["type"] == "FactSet")["facts"]
        assert [f["value"] for f in facts if f["title"] == "Attached"] == [
            "Preise für 2027.pdf (4 B)"
        ]
        old = await desk.client.post("/attach", data=form(card, b"%PDF 2"), headers=origin)
        assert old.status == 409
        assert "read it again" in (await old.json())["text"]


async def test_the_same_upload_twice_is_one_and_nothing_but_an_upload(desk: Desk) -> None:
    async with desk.page() as line:
        card = await line.open(desk.scene.ticket.id)
        origin = {"Origin": desk.origin()}
        for _ in range(2):
            sent = form(card, b"x", key="the same key", verb="approve")
            answer = await desk.client.post("/attach", data=sent, headers=origin)
            assert (answer.status, await answer.json()) == (200, {"text": ""})
    assert [verb for verb in await desk.scene.verbs() if verb == "attach"] == ["attach"]
    response = await desk.scene.response()
    assert response
    assert response.state is ResponseState.DRAFT


async def test_a_file_that_the_records_could_not_take_is_told(slow_desk: Desk) -> None:
    async with slow_desk.page() as line:
        card = await line.open(slow_desk.scene.ticket.id)
        assert isinstance(slow_desk.scene.store, SlowStore)
        slow_desk.scene.store.is_away = True
        origin = {"Origin": slow_desk.origin()}
        answer = await slow_desk.client.post("/attach", data=form(card, b"x"), headers=origin)
        assert answer.status == 503
        assert "The desk cannot reach its records" in (await answer.json())["text"]
        slow_desk.scene.store.is_away = False


def about(text: str) -> FormData:
    """Another first field than the page sends."""
    made = FormData()
    made.add_field("about", text)
    made.add_field("file", io.BytesIO(b"x"), filename="a.txt")
    return made


async def test_a_file_needs_our_page_and_a_session(desk: Desk) -> None:
    async with desk.page() as line:
        card = await line.open(desk.scene.ticket.id)
        foreign = {"Origin": "https://evil.example"}
        answer = await desk.client.post("/attach", data=form(card, b"x"), headers=foreign)
        assert answer.status == 403
        origin = {"Origin": desk.origin()}
        desk.client.session.cookie_jar.clear()
        answer = await desk.client.post("/attach", data=form(card, b"x"), headers=origin)
        assert answer.status == 403


async def test_a_file_that_is_too_large_or_none_is_refused(desk: Desk) -> None:
    async with desk.page() as line:
        card = await line.open(desk.scene.ticket.id)
        origin = {"Origin": desk.origin()}
        for sent, sentence in (
            (form(card, b"x" * (MAX_BYTES + 1)), "send a link instead"),
            (form(card, b"x", key="short"), "without a key"),
            (form(card, b"x", field="another"), "reload it"),
            (about("[]"), "reload it"),
            (about("{"), "reload it"),
            (b"no parts", "reload it"),
            ({"about": "{}"}, "reload it"),
            (b"none", "reload it"),
        ):
            is_broken = sent == b"no parts"
            kind = {"Content-Type": "multipart/form-data; boundary=x"} if is_broken else {}
            answer = await desk.client.post("/attach", data=sent, headers={**origin, **kind})
            assert answer.status == 400
            assert sentence in (await answer.json())["text"]
