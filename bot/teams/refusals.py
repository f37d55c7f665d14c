"""What the connector of Teams answers when it does not do something, as our errors."""

from __future__ import annotations

from collections.abc import Mapping

from bot.chat import Gone
from desk.errors import DeskError, Permanent, Throttled, Transient


def refusal(status: int, headers: Mapping[str, str]) -> DeskError:
    # https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit
    if status == 429:
        asked = headers.get("Retry-After", "")
        seconds = float(asked) if asked.isdigit() else 30.0
        return Throttled(f"Teams asks for a pause of {seconds:.0f} s", seconds)
    if status == 404:
        return Gone("The message or the conversation is no longer there")
    if status in (401, 403):
        return Permanent(
            "Teams does not let Maildesk post there: add it to the team or chat again, and look at"
            " teams.app_id"
        )
    if status in (408, 412) or (status >= 500 and status != 501):
        return Transient(f"Teams is out of order ({status})")
    return Permanent(f"Teams refuses this ({status})")
