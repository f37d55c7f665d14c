"""Who is listened to in Teams' name, apart from the signature of the request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from desk.errors import Misconfigured

Json = dict[str, Any]

CHANNEL = "msteams"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check(app_id: str, password: str, tenant: str, is_local_test: bool) -> None:
    if not app_id and not is_local_test:
        raise Misconfigured(
            "Teams needs the app id of the bot's registration: set teams.app_id. To try it on this"
            " machine with Microsoft's Agents Playground, set teams.is_local_test"
        )
    if app_id and not (password and tenant):
        raise Misconfigured(
            "Teams needs teams.app_password and teams.tenant_id beside teams.app_id: they are in"
            " the bot's registration in Azure"
        )


def is_local(headers: Mapping[str, str], remote: str) -> bool:
    """From this machine, and not handed on by a proxy or tunnel on it."""
    is_handed_on = any(name.lower() in ("forwarded", "x-forwarded-for") for name in headers)
    host = urlsplit(f"//{headers.get('Host', '')}").hostname
    return remote in LOOPBACK and host in LOOPBACK and not is_handed_on


def read_activity(body: bytes) -> Json | None:
    """None when it is not one."""
    try:
        activity = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(activity, dict) or not isinstance(activity.get("type"), str):
        return None
    parts = [activity.get(name) for name in ("conversation", "recipient", "from")]
    is_whole = all(isinstance(part, dict) and isinstance(part.get("id"), str) for part in parts)
    return activity if is_whole and isinstance(activity.get("serviceUrl"), str) else None


def is_ours(activity: Json, tenant: str) -> bool:
    """In other channels of Azure Bot Service, as in Direct Line, a client chooses its user's id;
    and what another organisation's roster says of its people is its own affair."""
    told = [activity.get("conversation"), activity.get("channelData")]
    conversation, data = (part if isinstance(part, dict) else {} for part in told)
    of_data = data.get("tenant")
    known = of_data.get("id") if isinstance(of_data, dict) else conversation.get("tenantId")
    return activity.get("channelId") == CHANNEL and known == tenant
