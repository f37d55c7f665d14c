"""The calls to Gmail's API that a mailbox needs: signed, counted, and their failures translated.

https://developers.google.com/gmail/api/reference/rest (v1); the weights are those of
https://developers.google.com/gmail/api/reference/quota.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from desk.errors import Ambiguous, DeskError, Misconfigured, Permanent, Throttled, Transient
from desk.ports import Clock
from mail.bearer import Token
from mail.gmail_upload import PAUSES, Upload
from mail.http import Answer, Http
from mail.provider import Ready, at_once
from mail.quota import OneItem, Quota
from mail.record import Record, any_records_in, any_text_in

GOOGLE_API = "https://gmail.googleapis.com"
GET, LIST, HISTORY, PROFILE, THREAD, SEND = 5, 5, 2, 1, 10, 100

MEGABYTE = 1024 * 1024
JSON_BYTES = 4 * MEGABYTE
"""A longer mail is uploaded as it is: https://developers.google.com/gmail/api/guides/uploads"""

LARGEST = 35 * MEGABYTE
"""https://developers.google.com/gmail/api/reference/rest/v1/users.messages/send"""

JSON = {"Content-Type": "application/json; charset=UTF-8"}
NOTHING: Mapping[str, str] = MappingProxyType({})

RATE = ("rateLimitExceeded", "userRateLimitExceeded")
DAILY = ("dailyLimitExceeded", "quotaExceeded", "limitExceeded")
A_WHILE = 3600.0

RETRY_AFTER = re.compile(r"Retry after (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)")
"""How Gmail says until when an account sends too much, in the sentence of its 429."""

Parameters = Sequence[tuple[str, str]]


class Gone(Permanent):
    """Gmail does not have it (any more)."""


class Bulky(Permanent):
    """It is longer than was asked for."""


@dataclass(frozen=True, slots=True)
class GmailApi:
    """One mailbox. ``base`` is the API's address, ``mailbox`` is for sentences.

    Every call raises Transient when Gmail cannot be reached, Misconfigured when it does not let
    us in.
    """

    mailbox: str
    base: str
    token: Token
    quota: Quota
    http: Http
    clock: Clock
    pauses: Sequence[float] = PAUSES  # before questions about an upload

    async def profile(self) -> dict[str, Any]:
        """``emailAddress`` and ``historyId``, among others."""
        return await self._get(PROFILE, "profile")

    async def message(self, id: str, format: str, *headers: str, length: int = 0) -> dict[str, Any]:
        """In format raw, minimal or metadata, then with these headers. Raises Gone, OneItem where
        Gmail fails, and Bulky for an answer of ``length`` bytes or more."""
        named = [("metadataHeaders", name) for name in headers]
        asked = [("format", format), *named]
        return await self._get(GET, f"messages/{id}", asked, is_one=True, length=length)

    async def thread(self, id: str, *headers: str) -> dict[str, Any]:
        """Its ``messages``, each with these headers. Raises as ``message`` does."""
        named = [("metadataHeaders", name) for name in headers]
        return await self._get(
            THREAD, f"threads/{id}", [("format", "metadata"), *named], is_one=True
        )

    async def all_listed(self, parameters: Parameters) -> AsyncIterator[Record]:
        """Of every page. A page may repeat what the one before had."""
        page = ""
        while True:
            listed = await self.listed([*parameters, ("maxResults", "500")], page)
            for one in any_records_in(listed, "messages"):
                yield one
            page = any_text_in(listed, "nextPageToken")
            if not page:
                return

    async def listed(self, parameters: Parameters, page: str = "") -> dict[str, Any]:
        """A page of messages, newest first: ``messages`` (id, threadId), ``nextPageToken``."""
        return await self._get(LIST, "messages", [*parameters, *_page(page)])

    async def history(self, start: str, page: str = "") -> dict[str, Any]:
        """What came or was given a label after ``start``, oldest first. Raises Gone when that is
        too long ago (https://developers.google.com/gmail/api/guides/sync)."""
        kinds = [("historyTypes", "messageAdded"), ("historyTypes", "labelAdded")]
        return await self._get(
            HISTORY, "history", [("startHistoryId", start), *kinds, *_page(page)]
        )

    async def send(self, mime: bytes, thread: str, ready: Ready = at_once) -> None:
        """Raises Transient when nothing was sent, Permanent when it was refused, Gone when there
        is no such thread, Ambiguous when it may have left."""
        if len(mime) > LARGEST:
            raise Permanent(
                f"The mail has {len(mime) / MEGABYTE:.1f} MB, and Gmail sends at most"
                f" {LARGEST / MEGABYTE:.0f} MB: take files off, or send links to them"
            )
        place = {"threadId": thread} if thread else {}

        async def sent() -> None:
            if len(mime) > JSON_BYTES:
                address = await self._begun(place, len(mime), thread)
                return await Upload(self, address, mime, ready, self.pauses).finish()
            raw = base64.urlsafe_b64encode(mime).decode()
            url = f"{self.base}/gmail/v1/users/me/messages/send"
            content = json.dumps({"raw": raw, **place}).encode()
            self._require_thread(await self._signed("POST", url, (), JSON, content, ready), thread)

        await self.quota.call(SEND, sent, is_sending=True)

    async def _begun(self, place: Mapping[str, str], length: int, thread: str) -> str:
        """The address to which a mail is uploaded. Nothing has been sent then."""
        url = f"{self.base}/upload/gmail/v1/users/me/messages/send"
        about = {
            **JSON,
            "X-Upload-Content-Type": "message/rfc822",
            "X-Upload-Content-Length": str(length),
        }
        content = json.dumps(place).encode()
        try:
            answer = await self._signed("POST", url, [("uploadType", "resumable")], about, content)
            self._require_thread(answer, thread)
        except Ambiguous as error:
            raise Transient(str(error)) from error
        address = answer.headers.get("Location", "")
        if not address:
            raise Transient("Gmail began no upload")
        return address

    async def handed(
        self, address: str, headers: Mapping[str, str], content: bytes, ready: Ready
    ) -> Answer:
        """One try at the address of an upload; our token goes to Gmail's own only."""
        if address.startswith(f"{self.base}/"):
            return await self._signed("PUT", address, (), headers, content, ready)
        return await self.http.request(
            "PUT", address, headers=headers, content=content, is_final=True, ready=ready
        )

    def refusal(self, answer: Answer) -> DeskError:
        """Of a mail."""
        return self._refusal(answer, is_sending=True)

    def _require_thread(self, answer: Answer, thread: str) -> None:
        if answer.status in (400, 404) and thread and b"thread" in answer.body.lower():
            raise Gone(_said(answer))
        self._check(answer, is_sending=True)

    async def _get(
        self,
        weight: float,
        path: str,
        parameters: Parameters = (),
        *,
        is_one: bool = False,
        length: int = 0,
    ) -> dict[str, Any]:
        url = f"{self.base}/gmail/v1/users/me/{path}"

        async def found() -> dict[str, Any]:
            answer = await self._signed("GET", url, parameters, length=length)
            if length and len(answer.body) >= length:
                raise Bulky(f"{path} is long")
            if is_one and answer.status == 500:
                raise OneItem(_said(answer))
            self._check(answer)
            return answer.json()

        return await self.quota.call(weight, found)

    async def _signed(
        self,
        method: str,
        url: str,
        parameters: Parameters,
        headers: Mapping[str, str] = NOTHING,
        content: bytes | None = None,
        ready: Ready = at_once,
        *,
        length: int = 0,
    ) -> Answer:
        """With a token; with a new one where Gmail refuses it, for nothing has happened then."""

        async def exchanged(token: str) -> Answer:
            return await self.http.request(
                method,
                url,
                parameters=parameters,
                headers={
                    "Authorization": f"Bearer {token}",
                    "Accept": "application/json",
                    **headers,
                },
                content=content,
                is_final=method != "GET",
                ready=ready,
                length=length,
            )

        token = await self.token()
        answer = await exchanged(token)
        return answer if answer.status != 401 else await exchanged(await self.token.renewed(token))

    def _check(self, answer: Answer, is_sending: bool = False) -> None:
        if answer.status >= 300:
            raise self._refusal(answer, is_sending)

    def _refusal(self, answer: Answer, is_sending: bool) -> DeskError:
        """https://developers.google.com/gmail/api/guides/handle-errors"""
        reason, said = _reason(answer), _said(answer)
        pause = answer.retry_after(self.clock.now()) or self._pause_in(said)
        if answer.status == 429 or reason in RATE:
            return Throttled(said, pause)
        if reason in DAILY:
            return Throttled(said, pause or A_WHILE)
        if answer.status >= 500 or answer.status == 408:
            return _outage(said, pause, is_sending)
        if answer.status == 401:
            return Misconfigured(f"{self.mailbox} needs sign-in: {said}")
        if answer.status == 403:
            return Misconfigured(f"Gmail does not let Maildesk use {self.mailbox}: {said}")
        return Gone(said) if answer.status == 404 else Permanent(said)

    def _pause_in(self, sentence: str) -> float:
        found = RETRY_AFTER.search(sentence)
        try:
            until = datetime.fromisoformat(found[1]) if found else self.clock.now()
        except ValueError:
            return 0.0
        return max(0.0, (until - self.clock.now()).total_seconds())


def _outage(said: str, pause: float, is_sending: bool) -> DeskError:
    if is_sending:
        return Ambiguous(f"{said}, which does not say whether the mail left")
    return Throttled(said, pause) if pause else Transient(said)


def _page(token: str) -> Parameters:
    return [("pageToken", token)] if token else []


def _error(answer: Answer) -> dict[str, Any]:
    try:
        found = answer.json().get("error")
    except Transient:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(answer: Answer) -> str:
    errors = _error(answer).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


def _said(answer: Answer) -> str:
    message = _error(answer).get("message")
    return f"Gmail answered with {answer.status}{f': {message}' if message else ''}"
