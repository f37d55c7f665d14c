"""The manifest asks Slack for what the code listens to and calls, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from bot.slack.text import COMMAND

ROOT = Path(__file__).parent.parent.parent
MANIFEST = yaml.safe_load((ROOT / "deploy/slack/manifest.yaml").read_text())
CODE = "\n".join(path.read_text() for path in sorted((ROOT / "bot/slack").glob("*.py")))

# https://docs.slack.dev/reference/methods: the scope of each method; None needs none
SCOPES = {
    "chat_postMessage": "chat:write",
    "chat_postEphemeral": "chat:write",
    "chat_update": "chat:write",
    "conversations_history": "channels:history",
    "conversations_replies": "channels:history",
    "users.info": "users:read",
    "files.info": "files:read",
    "auth_test": None,
    "apps_connections_open": None,  # by the app token, connections:write
    "views_open": None,
    "views_update": None,
}
EVENTS = {"app_mention": "app_mentions:read"}


def test_scopes_are_those_of_the_methods_commands_and_events_in_use() -> None:
    called = set(
        re.findall(
            r"client\.((?:chat|conversations|views|users|auth|files|im|apps)\w*_\w+)[(,]", CODE
        )
    )
    called |= set(re.findall(r'api_call\("([\w.]+)"', CODE))
    assert called == set(SCOPES)
    needed = {scope for scope in SCOPES.values() if scope}
    needed |= {"commands", *EVENTS.values()}
    needed.add("groups:history")  # conversations.history of private channels
    needed.add("users:read.email")  # the field profile.email of users.info
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == needed


def test_commands_and_events_are_those_that_are_listened_to() -> None:
    assert [c["command"] for c in MANIFEST["features"]["slash_commands"]] == [COMMAND]
    listened = re.findall(r'app\.event\("(\w+)"\)', CODE)
    assert MANIFEST["settings"]["event_subscriptions"]["bot_events"] == listened == list(EVENTS)
    assert "app.command(COMMAND)" in CODE


def test_buttons_and_forms_reach_us_over_socket_mode() -> None:
    assert MANIFEST["settings"]["interactivity"]["is_enabled"] is True
    assert MANIFEST["settings"]["socket_mode_enabled"] is True
