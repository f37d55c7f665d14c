"""What Slack's answers mean to us."""

from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.chat import Gone
from bot.slack.people import _is_vouched_for
from bot.slack.post import translated
from desk.errors import DeskError, Permanent, Throttled, Transient


def refusal(error: str, status: int = 200, **headers: str) -> SlackApiError:
    answer = AsyncSlackResponse(
        client=AsyncWebClient(),
        http_verb="POST",
        api_url="chat.postMessage",
        req_args={},
        data={"ok": False, "error": error, "needed": "chat:write"},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        status_code=status,
    )
    return SlackApiError("refused", answer)  # type: ignore[no-untyped-call]  # slack_sdk's own


def meaning(error: Exception) -> DeskError:
    with pytest.raises(DeskError) as raised, translated("#support"):
        raise error
    return raised.value


@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message"])
def test_message_that_is_gone_is_posted_anew(error: str) -> None:
    assert isinstance(meaning(refusal(error)), Gone)


def test_pause_that_slack_asks_for_is_kept() -> None:
    found = meaning(refusal("ratelimited", 429, Retry_After="17"))
    assert isinstance(found, Throttled)
    assert found.seconds == 17


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("channel_not_found", "#support: correct slack.channel"),
        ("not_in_channel", "/invite @Maildesk"),
        ("is_archived", "archived"),
        ("invalid_auth", "slack.bot_token"),
        ("missing_scope", "lacks the right chat:write"),
        ("something_new", "Slack refuses this: something_new"),
    ],
)
def test_refusal_says_what_to_do(error: str, says: str) -> None:
    found = meaning(refusal(error))
    assert type(found) is Permanent
    assert says in str(found)


@pytest.mark.parametrize(
    "error",
    [
        refusal("internal_error"),
        refusal("", 503),
        aiohttp.ClientConnectionError("no line"),
        TimeoutError(),
        ConnectionResetError(),
    ],
)
def test_what_may_be_better_soon_is_tried_again(error: Exception) -> None:
    assert type(meaning(error)) is Transient


PERSON = {"team_id": "T1", "profile": {}}


@pytest.mark.parametrize(
    "different",
    [
        {"team_id": "T2"},
        {"team_id": "T2", "enterprise_user": {"enterprise_id": "E2"}},
        {"is_bot": True},
        {"deleted": True},
        {"is_email_confirmed": False},
    ],
)
def test_address_that_our_workspace_does_not_vouch_for_is_nobodys(
    different: dict[str, object],
) -> None:
    assert _is_vouched_for(PERSON, "T1", "E1")
    assert not _is_vouched_for({**PERSON, **different}, "T1", "E1")


def test_colleague_of_another_workspace_of_our_organisation_is_vouched_for() -> None:
    colleague = {"team_id": "T2", "enterprise_user": {"enterprise_id": "E1"}}
    assert _is_vouched_for(colleague, "T1", "E1")
    assert not _is_vouched_for(colleague, "T1", None)
