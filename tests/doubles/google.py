"""Gmail on loopback: npm ``emulate`` keeps the mail; a door in front of it does what Google's
documentation says and the emulator does not.

The emulator has no ``users.getProfile``, a history that never expires, access tokens that live for
ever, no quota, no uploads in parts, and of a mail's headers it hands over the usual ones only.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from desk.ports import Clock, Limits, SystemClock
from mail.bucket import LocalLimits
from mail.gmail import GmailProvider
from mail.gmail_api import GmailApi
from mail.http import Http
from mail.oauth import GOOGLE, Account, Client, SignIn, Tokens, TokenSource
from mail.quota import GMAIL, Patience, Quota
from tests.doubles.desk import FastClock
from tests.doubles.fault_proxy import FaultProxy, Reply
from tests.doubles.google_metadata import message_metadata, thread_metadata
from tests.doubles.google_uploads import Uploads
from tests.doubles.oauth import HeldTokens

CLIENT, SECRET = "maildesk.apps.example", "s3cr3t"
JSON = {"Content-Type": "application/json"}

# https://developers.google.com/gmail/api/reference/quota
UNITS = (("/send", 100), ("/history", 2), ("/profile", 1), ("/messages", 5), ("/threads", 10))
UNITS_A_MINUTE = 15_000


@dataclass
class Google:
    """One account, the proxy its mailbox is reached through, and the world's side of it."""

    emulator: str
    address: str
    owner: str  # an access token that is not counted and never refused
    proxy: FaultProxy
    expired: int = -1  # history up to this id is forgotten
    page_size: int = 500  # the most that a page holds, whatever is asked for
    lifetime: int = 3600  # seconds of an access token
    units: list[tuple[float, int]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # access tokens
    live: dict[str, bool] = field(default_factory=dict)  # refresh tokens, good once
    issued: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.uploads = Uploads(self.proxy)

    @property
    def client(self) -> Client:
        url = self.proxy.url
        service = replace(
            GOOGLE, authorize_url=f"{url}/o/oauth2/v2/auth", token_url=f"{url}/oauth2/token"
        )
        return Client(service, CLIENT, SECRET)

    # -- the world

    def ask(self, method: str, path: str, body: object = None, **query: str) -> dict[str, Any]:
        """Straight at the emulator, as the account's owner."""
        time.sleep(0.002)  # no two mails in one millisecond: lists go by that
        parameters = f"?{urlencode(query)}" if query else ""
        url = f"{self.emulator}/gmail/v1/users/me/{path}{parameters}"
        headers = {"Authorization": f"Bearer {self.owner}", "Content-Type": "application/json"}
        content = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(url, content, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(asked) as answer:  # noqa: S310
            text = answer.read()
            found: dict[str, Any] = json.loads(text) if text else {}
            return found

    def deliver(self, raw: bytes, *labels: str, at: float = 0.0) -> str:
        """A mail arrives; its id."""
        mail = {"raw": base64.urlsafe_b64encode(raw).decode()}
        when = {"internalDate": str(int((at or time.time()) * 1000))}
        given = {"labelIds": list(labels)} if labels else {}
        return str(self.ask("POST", "messages/import", {**mail, **when, **given})["id"])

    def label(self, id: str, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
        labels = {"addLabelIds": list(add), "removeLabelIds": list(remove)}
        self.ask("POST", f"messages/{id}/modify", labels)

    def delete(self, *ids: str) -> None:
        self.ask("POST", "messages/batchDelete", {"ids": list(ids)})

    def history_id(self) -> int:
        topic = {"topicName": "projects/x/topics/y"}
        return int(self.ask("POST", "watch", topic)["historyId"])

    def forget_history(self) -> None:
        """As Gmail does after a week or so."""
        self.expired = self.history_id()

    def sent(self) -> list[bytes]:
        listed = self.ask("GET", "messages", labelIds="SENT").get("messages", [])
        raws = [self.ask("GET", f"messages/{one['id']}", format="raw")["raw"] for one in listed]
        return [base64.urlsafe_b64decode(raw + "==") for raw in raws]

    # -- tokens

    def refresh_token(self) -> str:
        token = f"refresh-{len(self.live)}"
        self.live[token] = True
        return token

    def end_access(self) -> None:
        """All access tokens so far are refused from now on."""
        self.refused |= set(self.issued)

    def most_a_minute(self) -> int:
        """Units in the fullest sixty seconds."""
        at = [time for time, _ in self.units]
        return max(
            (sum(cost for t, cost in self.units if start <= t < start + 60) for start in at),
            default=0,
        )

    # -- the door

    async def answer(self, request: web.Request) -> Reply | None:
        if request.path == "/oauth2/token":
            return await self._token(request)
        if "/gmail/v1/" not in request.path:
            return None
        if "upload_id" in request.query:  # whoever knows the address may upload to it
            return await self.uploads.take(request)
        if refused := self._refusal(request):
            return refused
        if request.path.endswith("/profile"):
            return await self._profile(request)
        if request.path.endswith("/history") and self._is_forgotten(request):
            return refusal(404, "notFound", "Requested entity was not found.")
        if request.path.endswith(("/history", "/messages")):
            return await self._page(request)
        if request.path.startswith("/upload/"):
            return await self.uploads.begin(request)
        if request.query.get("format") == "metadata":
            names = request.query.getall("metadataHeaders")
            is_thread = "/threads/" in request.path
            told = thread_metadata if is_thread else message_metadata
            return await told(self.proxy, request.path, names)
        return None

    def _refusal(self, request: web.Request) -> Reply | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.issued or token in self.refused:
            return refusal(401, "authError", "Invalid Credentials")
        now = time.monotonic()
        cost = next(cost for end, cost in UNITS if end in request.path)
        self.units.append((now, cost))
        lately = sum(cost for at, cost in self.units if at > now - 60)
        if lately > UNITS_A_MINUTE:
            return refusal(403, "userRateLimitExceeded", "User-rate limit exceeded.")
        return None

    async def _profile(self, request: web.Request) -> Reply:
        """https://developers.google.com/gmail/api/reference/rest/v1/users/getProfile"""
        body = json.dumps({"topicName": "projects/x/topics/y"}).encode()
        path = request.path.replace("/profile", "/watch")
        watched = await self.proxy.forward("POST", path, JSON, body)
        history = json.loads(watched.body)["historyId"]
        return Reply.of(200, {"emailAddress": self.address, "historyId": history})

    def _is_forgotten(self, request: web.Request) -> bool:
        """https://developers.google.com/gmail/api/reference/rest/v1/users.history/list: an id
        that is too old is answered with 404."""
        return int(request.query["startHistoryId"]) <= self.expired

    async def _page(self, request: web.Request) -> Reply:
        """maxResults is the most that may come, no promise."""
        asked = min(int(request.query.get("maxResults", 100)), self.page_size)
        query = [(name, text) for name, text in request.query.items() if name != "maxResults"]
        path = f"{request.path}?{urlencode([*query, ('maxResults', str(asked))])}"
        return await self.proxy.forward("GET", path, {}, b"")

    async def _token(self, request: web.Request) -> Reply:
        """Refresh tokens are good once here, so that two flights at once are noticed."""
        body = await request.read()
        form = parse_qs(body.decode())
        if form["grant_type"] == ["authorization_code"]:
            signed = await self.proxy.forward("POST", "/oauth2/token", request.headers, body)
            if signed.status != 200:
                return signed
        elif not self._spend(form["refresh_token"][0]):
            return Reply.of(400, {"error": "invalid_grant"})
        self.issued.append(self.owner + f"-{len(self.issued)}")
        tokens = {"access_token": self.issued[-1], "refresh_token": self.refresh_token()}
        return Reply.of(200, {**tokens, "token_type": "Bearer", "expires_in": self.lifetime})

    def _spend(self, token: str) -> bool:
        if not self.live.get(token):
            self.live = dict.fromkeys(self.live, False)
            return False
        self.live[token] = False
        return True


def refusal(status: int, reason: str, message: str, **headers: str) -> Reply:
    """As Google's APIs refuse: https://developers.google.com/gmail/api/guides/handle-errors"""
    errors = [{"domain": "usageLimits", "reason": reason, "message": message}]
    error = {"code": status, "message": message, "errors": errors}
    return Reply.of(status, {"error": error}, **headers)


@asynccontextmanager
async def gmail_provider(
    google: Google,
    *,
    limits: Limits | None = None,
    tokens: Tokens | None = None,
    clock: Clock | None = None,
    backfill_days: float = 14.0,
    seconds: float = 5.0,
    tries: int = 8,
    fast: FastClock | None = None,
    line: Http | None = None,
) -> AsyncIterator[GmailProvider]:
    """One worker's provider for the account; it waits less than in earnest, and not at all where
    a ``fast`` clock goes on in place of that."""
    now = fast or clock or SystemClock()
    patience = Patience(tries=tries, base=0.02, cap=0.1, budget=60 if fast else 10)

    async def sleep(seconds: float) -> None:
        if fast:
            fast.forward(seconds=seconds, milliseconds=1)  # it would not move by a part of 1 µs
        await asyncio.sleep(0 if fast else seconds)

    kept = tokens or HeldTokens(SignIn(refresh=google.refresh_token()))
    async with line or Http(seconds) as http:
        account = Account(google.address, "gmail", google.address)
        source = TokenSource(account, google.client, kept, http, now)
        here = LocalLimits(lambda: fast.now().timestamp()) if fast else LocalLimits()
        quota = Quota(google.address, GMAIL, limits or here, now, patience, sleep)
        pauses = (0.0, 0.02, 0.1)
        api = GmailApi(google.address, google.proxy.url, source, quota, http, now, pauses)
        async with GmailProvider(api, timedelta(days=backfill_days), poll=0.1) as provider:
            try:
                yield provider
            finally:
                await source.close()
