"""Who it is that clicks in Slack: known from before, or linked by the address Slack vouches for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.identity import Identity, unlinked
from bot.slack.post import translated
from desk.errors import Refused
from desk.people import User
from desk.places import Network

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

REMEMBERED = 300.0
"""Seconds for which an answer of users.info is kept."""


@dataclass(frozen=True, slots=True)
class People:
    client: AsyncWebClient
    identity: Identity
    _emails: dict[str, tuple[float, str]] = field(default_factory=dict)

    async def user(self, id: str) -> User:
        """Refused, with what to do about it, when this is nobody of ours."""
        if not id:
            raise Refused(unlinked(""))
        known = await self.identity.find(Network.SLACK, id)
        if known is not None:
            return known
        email = await self._email(id)
        user = await self.identity.link(Network.SLACK, id, email)
        if user is None:
            raise Refused(unlinked(email))
        return user

    async def _email(self, id: str) -> str:
        read_at, email = self._emails.get(id, (0.0, ""))
        if time.monotonic() - read_at < REMEMBERED and email:
            return email
        with translated():
            # arguments in the body: real Slack takes them there for every method
            answer = await self.client.api_call("users.info", data={"user": id})
            ours = await self.client.auth_test()
        person: dict[str, Any] = answer.get("user") or {}
        email = str((person.get("profile") or {}).get("email") or "")
        if not _is_vouched_for(person, ours.get("team_id"), ours.get("enterprise_id")):
            return ""
        self._emails[id] = (time.monotonic(), email)
        return email


def _is_vouched_for(person: dict[str, Any], team: object, enterprise: object) -> bool:
    """Only our own workspace (or organisation) says who has which address: in a channel shared with
    another company, that company's administrator chooses what its users' addresses are.
    Fields: https://docs.slack.dev/reference/objects/user-object
    """
    organisation = (person.get("enterprise_user") or {}).get("enterprise_id")
    is_ours = person.get("team_id") == team or (organisation and organisation == enterprise)
    is_person = not person.get("deleted") and not person.get("is_bot")
    return bool(is_ours and is_person and person.get("is_email_confirmed") is not False)
