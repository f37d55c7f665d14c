"""People who click and type in Slack: they see only what is on the card now, and what they do
reaches the bot signed as Slack signs it."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.doubles.blocks import Json
from tests.doubles.slack import BOT, CHANNEL, SECRET, SlackDoor


@dataclass(frozen=True)
class Answer:
    """What the bot answered a request with, and after how many seconds."""

    status: int
    text: str
    seconds: float

    @property
    def body(self) -> Json:
        found: Json = json.loads(self.text) if self.text else {}
        return found


def sign(body: str, at: float, secret: str = SECRET) -> dict[str, str]:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    stamp = str(int(at))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256)
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest.hexdigest()}",
    }


@dataclass
class SlackUser:
    """Somebody at Slack, in front of the bot at ``bot``."""

    name: str
    id: str
    door: SlackDoor
    bot: str
    view: Json = field(default_factory=dict)
    triggers: set[str] = field(default_factory=set)
    """Of all that this person clicked and typed."""

    async def click(
        self, channel: str, ts: str, what: str, *, says_yes: bool = False, **more: object
    ) -> Answer:
        """A button or a choice behind More, by its words, on the card as it is stored now."""
        element = find(await self.card(channel, ts), what, says_yes=says_yes)
        container = {"type": "message", "message_ts": ts, "channel_id": channel}
        return await self.press(element, channel, container, **more)

    async def click_whisper(self, message: Json, what: str) -> Answer:
        """A button of a message that only this person sees."""
        assert message["user"] == self.id
        container = {"type": "message", "message_ts": "1.2", "is_ephemeral": True}
        container["channel_id"] = message["channel"]
        return await self.press(find(message["blocks"], what), message["channel"], container)

    async def press(
        self, element: Json, channel: str, container: Mapping[str, object], **more: object
    ) -> Answer:
        return await self.interact(await self.pressing(element, channel, container, **more))

    async def pressing(
        self, element: Json, channel: str, container: Mapping[str, object], **more: object
    ) -> Json:
        """What Slack sends when a button is pressed."""
        when = f"{time.time():.6f}"
        return {
            "type": "block_actions",
            "user": {"id": self.id, "team_id": "T000000001"},
            "team": {"id": "T000000001"},
            "api_app_id": "A0MAILDESK",
            "container": container,
            "channel": {"id": channel, "name": CHANNEL},
            "trigger_id": await self.trigger(),
            "response_url": f"{self.door.url}/response/1",
            "actions": [{**element, "block_id": "b", "action_ts": when}],
            **more,
        }

    async def card(self, channel: str, ts: str) -> list[Json]:
        # the emulator does not look at "latest"
        found = await self.door.ask("conversations.history", channel=channel, limit=200)
        [blocks] = [message["blocks"] for message in found["messages"] if message["ts"] == ts]
        return list(blocks)

    async def trigger(self) -> str:
        answer = await self.door.ask("views.generateTriggerId", BOT, user_id=self.id)
        self.triggers.add(str(answer["trigger_id"]))
        return str(answer["trigger_id"])

    # -- forms

    def opened(self) -> Json:
        """The form that this person opened last, as it is now."""
        opened = [
            call.answer["view"]
            for call in self.door.of("views.open")
            if call.args["trigger_id"] in self.triggers
        ]
        assert opened, "no form is open"
        changed = [call.answer["view"] for call in self.door.of("views.update")]
        id = opened[-1]["id"]
        self.view = [opened[-1], *(view for view in changed if view["id"] == id)][-1]
        return self.view

    async def submit(self, text: str | None = None, *, ticks: bool = False) -> Answer:
        """Submit the form, with another text in its first field. An answer may change the form."""
        answer = await self.interact(self.submission(text, ticks=ticks))
        if answer.status == 200 and answer.body.get("response_action") == "update":
            self.view = {**self.view, **answer.body["view"], "hash": f"{time.time():.6f}"}
        return answer

    def submission(self, text: str | None = None, *, ticks: bool = False) -> Json:
        values: Json = {}
        is_first = True
        for block in self.view["blocks"]:
            if block["type"] != "input":
                continue
            element = block["element"]
            if element["type"] == "checkboxes":
                chosen = element["options"] if ticks else element.get("initial_options", [])
                values[block["block_id"]] = {"send": {"selected_options": chosen}}
                continue
            typed = text if is_first and text is not None else element.get("initial_value")
            values[block["block_id"]] = {"text": {"value": typed}}
            is_first = False
        return {
            "type": "view_submission",
            "user": {"id": self.id, "team_id": "T000000001"},
            "team": {"id": "T000000001"},
            "view": {**self.view, "state": {"values": values}},
        }

    # -- typing

    async def slash(self, line: str, **more: str) -> Answer:
        args = {
            "command": "/desk",
            "text": line,
            "user_id": self.id,
            "channel_id": "C000000001",
            "team_id": "T000000001",
            "trigger_id": await self.trigger(),
            "response_url": f"{self.door.url}/response/2",
            **more,
        }
        return await self.send(urlencode(args))

    async def mention(
        self,
        channel: str,
        line: str,
        event_id: str,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> Answer:
        about = {"user": self.id, "channel": channel, "ts": "1.1"}
        event = {"type": "app_mention", **about, **more}
        body = {
            "type": "event_callback",
            "team_id": "T000000001",
            "event_id": event_id,
            "event": {**event, "text": f"<@U0MAILDESK> {line}"},
        }
        return await self.send(json.dumps(body), "application/json", headers=headers)

    async def interact(self, body: Json) -> Answer:
        return await self.send(urlencode({"payload": json.dumps(body)}))

    async def send(
        self,
        body: str,
        kind: str = "application/x-www-form-urlencoded",
        *,
        secret: str = SECRET,
        age: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        signed = sign(body, time.time() - age, secret)
        headers = {"Content-Type": kind, **signed, **(headers or {})}
        start = time.monotonic()
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.bot}/slack/events", data=body, headers=headers) as answer,
        ):
            return Answer(answer.status, await answer.text(), time.monotonic() - start)


def find(blocks: list[Json], what: str, *, says_yes: bool = False) -> Json:
    """The payload of a button or choice, or a failure: nobody can click what is not there."""
    for element in (e for b in blocks if b["type"] == "actions" for e in b["elements"]):
        if element["type"] == "button" and element["text"]["text"] == what:
            assert says_yes or "confirm" not in element, "it asks first"
            return {k: element[k] for k in ("type", "action_id", "value")}
        for option in element.get("options", []):
            if option["text"]["text"] == what:
                chosen = {"selected_option": option}
                return {"type": "overflow", "action_id": element["action_id"], **chosen}
    raise AssertionError(f"“{what}” is not on the card")


def words(blocks: Any) -> str:
    """All that one reads, without markup."""
    if isinstance(blocks, list):
        return "\n".join(filter(None, map(words, blocks)))
    if not isinstance(blocks, dict):
        return ""
    if isinstance(blocks.get("text"), str):
        return str(blocks["text"])
    return "\n".join(filter(None, (words(v) for v in blocks.values())))
