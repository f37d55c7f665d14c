"""Activities of Teams, read: what was typed or pressed where, and by whom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.teams.entrance import is_local, is_ours, read_activity
from bot.teams.read_action import Doing, channel_id, read_turn, root
from bot.teams.wire import TeamsWire
from desk.errors import Misconfigured

WHOLE: dict[str, Any] = {
    "type": "message",
    "id": "17",
    "channelId": "msteams",
    "serviceUrl": "https://smba.example/emea",
    "from": {"id": "29:ann", "aadObjectId": "aad-ann"},
    "recipient": {"id": "28:bot", "name": "Maildesk"},
    "conversation": {"id": "19:a@thread.tacv2;messageid=3", "conversationType": "channel"},
    "channelData": {"tenant": {"id": "t1"}},
    "text": "<at>Maildesk</at>&nbsp;show 12\n",
    "entities": [
        {"type": "clientInfo", "locale": "en-US"},
        {"type": "mention", "text": "<at>Maildesk</at>", "mentioned": {"id": "28:bot"}},
    ],
}


def test_a_line_is_read_without_the_mention_of_ourselves() -> None:
    turn = read_turn(WHOLE)
    assert (turn.doing, turn.text, turn.person) == (Doing.TYPED, "show 12", "aad-ann")
    assert not turn.is_private
    assert turn.reference == {
        "serviceUrl": "https://smba.example/emea",
        "bot": {"id": "28:bot", "name": "Maildesk"},
        "conversation": {
            "id": "19:a@thread.tacv2;messageid=3",
            "tenantId": "t1",
            "conversationType": "channel",
        },
    }


def test_the_mention_of_somebody_else_stays() -> None:
    other = {"type": "mention", "text": "<at>Ann</at>", "mentioned": {"id": "29:ann"}}
    turn = read_turn({**WHOLE, "text": "redraft <at>Ann</at>", "entities": [other]})
    assert turn.text == "redraft <at>Ann</at>"


@pytest.mark.parametrize(
    ("changes", "doing"),
    [
        ({"value": {"t": 1}}, Doing.SUBMITTED),
        ({"type": "invoke", "name": "adaptiveCard/action"}, Doing.PRESSED),
        ({"type": "invoke", "name": "task/fetch"}, Doing.OTHER),
        ({"type": "installationUpdate", "action": "add"}, Doing.ADDED),
        ({"type": "installationUpdate", "action": "remove"}, Doing.OTHER),
        ({"type": "messageReaction"}, Doing.OTHER),
    ],
)
def test_what_an_activity_is_about(changes: dict[str, Any], doing: Doing) -> None:
    assert read_turn({**WHOLE, **changes}).doing is doing


def test_keys_tell_activities_apart_and_redeliveries_not() -> None:
    key = read_turn(WHOLE).key
    assert key == read_turn(dict(WHOLE)).key
    others: list[dict[str, Any]] = [
        {"id": "18"},
        {"from": {"id": "29:omar"}},
        {"conversation": {"id": "19:b"}},
    ]
    keys = {read_turn({**WHOLE, **change}).key for change in others}
    assert len(keys | {key}) == 4
    nameless = {**WHOLE, "id": None}
    assert read_turn(nameless).key != read_turn(nameless).key


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted({*WHOLE, "value", "replyToId", "name"})), JSON))
def test_nonsense_is_empty_and_never_an_error(activity: dict[str, Any]) -> None:
    turn = read_turn(activity)
    assert isinstance(turn.text, str)
    assert isinstance(turn.channel, str)


@given(st.binary(max_size=60) | JSON.map(str).map(str.encode))
def test_any_body_is_an_activity_or_not(body: bytes) -> None:
    assert read_activity(body) is None


@pytest.mark.parametrize(
    ("channel", "id"),
    [
        ("19:ab@thread.tacv2", "19:ab@thread.tacv2"),
        ("https://teams.microsoft.com/l/channel/19%3Aab%40thread.tacv2/Desk?x=1",
         "19:ab@thread.tacv2"),
    ],
)  # fmt: skip
def test_a_channel_is_given_by_id_or_link(channel: str, id: str) -> None:
    assert channel_id(channel) == id
    assert root(f"{id};messageid=1") == id


@pytest.mark.parametrize(
    ("host", "remote", "more", "is_here"),
    [
        ("127.0.0.1:8080", "127.0.0.1", {}, True),
        ("localhost", "::1", {}, True),
        ("desk.example", "127.0.0.1", {}, False),
        ("127.0.0.1:8080", "203.0.113.9", {}, False),
        ("127.0.0.1:8080", "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, False),
    ],
)
def test_who_is_on_this_machine(
    host: str, remote: str, more: dict[str, str], is_here: bool
) -> None:
    assert is_local({"Host": host, **more}, remote) is is_here


def test_only_teams_and_only_our_organisation_is_ours() -> None:
    assert is_ours(WHOLE, "t1")
    assert not is_ours(WHOLE, "t2")
    assert not is_ours({**WHOLE, "channelId": "directline"}, "t1")
    assert not is_ours({**WHOLE, "channelData": None}, "t1")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("", "", ""), "teams.app_id"),
        (("app", "", "t1"), "teams.app_password"),
        (("app", "secret", ""), "teams.tenant_id"),
    ],
)
def test_it_does_not_start_unprotected(given: tuple[str, str, str], sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        TeamsWire(*given)
