"""Calls to Microsoft Graph for one mailbox: identity, limits, and its errors in our words."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

from desk.errors import Ambiguous, DeskError, Misconfigured, Permanent, Throttled, Transient
from desk.ports import Clock, SystemClock
from mail.bearer import Token
from mail.http import Answer, Http
from mail.provider import Ready, at_once
from mail.quota import OneItem, Quota
from mail.record import Record

T = TypeVar("T")

GLOBAL = "https://graph.microsoft.com/v1.0"
# concepts/outlook-immutable-id: the header counts for the request that it comes with
IMMUTABLE = 'IdType="ImmutableId"'
TOO_LARGE = {"errormessagesizeexceeded", "requestentitytoolarge"}
FAILING = (500, 502, 504)
"""It failed, or was too slow; 503 is an outage."""

LOST = {"syncstatenotfound", "resyncrequired", "syncstateinvalid"}


class Gone(Permanent):
    """What was asked for is not in the mailbox."""


class TooLarge(Permanent):
    """A mail, or a file of it."""


class SyncLost(Permanent):
    """The place in the changes of a folder is known no longer: read the folder anew."""


@dataclass(frozen=True, slots=True)
class GraphAccount:
    """``mailbox`` is empty for that of whoever signed in, else the address of a shared one."""

    token: Token = field(repr=False)
    mailbox: str = ""
    url: str = GLOBAL

    @property
    def root(self) -> str:
        who = f"users/{quote(self.mailbox, safe='@')}" if self.mailbox else "me"
        return f"{self.url.rstrip('/')}/{who}"


class Graph:
    """Paths begin below the mailbox; whole addresses are those that Graph itself gave us, and are
    never followed elsewhere with our token. Each call goes through the quota.

    All raise Gone, SyncLost, Transient, Misconfigured or Permanent.
    """

    def __init__(
        self, account: GraphAccount, http: Http, quota: Quota, clock: Clock | None = None
    ) -> None:
        self._account = account
        self._http = http
        self._quota = quota
        self._clock = clock or SystemClock()

    @property
    def root(self) -> str:
        return self._account.root

    @property
    def token(self) -> Token:
        return self._account.token

    def owns(self, link: str) -> bool:
        return link.startswith(f"{self._account.url.rstrip('/')}/")

    async def read(self, path: str, page_size: int = 0, *, is_one: bool = False) -> Record:
        """``is_one``: raises OneItem where Outlook fails, for that says nothing of the rest."""
        prefer = f"{IMMUTABLE}, odata.maxpagesize={page_size}" if page_size else IMMUTABLE

        async def request() -> Record:
            return (await self._answer("GET", path, prefer=prefer, is_one=is_one)).json()

        return await self._quota.call(1, request)

    async def read_raw(self, path: str, length: int) -> bytes:
        """The first ``length`` bytes. Raises OneItem where Outlook fails."""

        async def request() -> bytes:
            return (await self._answer("GET", path, length=length, is_one=True)).body

        return await self._quota.call(1, request)

    async def change(self, method: str, path: str, changes: Record | None = None) -> Record:
        """For what may be repeated."""
        content = None if changes is None else json.dumps(changes).encode()

        async def request() -> Record:
            return _record(await self._answer(method, path, content, "application/json"))

        return await self._quota.call(1, request)

    async def create(self, path: str, content: bytes = b"", ready: Ready = at_once) -> Record:
        """For what must not happen twice: raises Ambiguous when it may have happened."""

        async def request() -> Record:
            answer = await self._answer(
                "POST", path, content, "text/plain", is_final=True, ready=ready
            )
            try:
                return _record(answer)
            except Transient as error:
                raise Ambiguous(str(error)) from error

        return await self._quota.call(1, request, is_sending=True)

    async def add(self, path: str, content: Record) -> None:
        """As ``create``, of JSON."""
        raw = json.dumps(content).encode()

        async def request() -> None:
            await self._answer("POST", path, raw, "application/json", is_final=True)

        await self._quota.call(1, request, is_sending=True)

    async def paced(self, request: Callable[[], Awaitable[T]]) -> T:
        """``request``, at most so often and so many at a time as the others; tried again where it
        raises Transient."""
        return await self._quota.call(1, request)

    async def at(
        self, method: str, address: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> Answer:
        """One try of what may be repeated, at an address that Graph made for this alone; our token
        goes to our own only."""
        try:
            answer = await self._http.request(
                method, address, headers=headers, content=content, is_final=True
            )
        except Ambiguous as error:
            raise Transient(str(error)) from error
        if answer.status >= 300:
            raise _failure(answer, answer.retry_after(self._clock.now()), is_final=False)
        return answer

    async def _answer(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        kind: str = "",
        *,
        prefer: str = IMMUTABLE,
        length: int = 0,
        is_final: bool = False,
        is_one: bool = False,
        ready: Ready = at_once,
    ) -> Answer:
        """An answer that is no error. A token that was refused is renewed once."""
        url = path if self.owns(path) else f"{self._account.root}{path}"
        headers = {"Prefer": prefer, **({"Content-Type": kind} if content else {})}
        token = await self._account.token()
        for attempt in range(2):
            answer = await self._http.request(
                method,
                url,
                headers={**headers, "Authorization": f"Bearer {token}"},
                content=content,
                is_final=is_final,
                ready=ready,
                length=length,
            )
            if answer.status != 401 or attempt:
                break
            token = await self._account.token.renewed(token)
        if answer.status >= 300:
            failure = _failure(answer, answer.retry_after(self._clock.now()), is_final)
            if is_one and answer.status in FAILING and not isinstance(failure, Throttled):
                raise OneItem(str(failure)) from failure
            raise failure
        return answer


def _record(answer: Answer) -> Record:
    return answer.json() if answer.body else {}


def _failure(answer: Answer, pause: float, is_final: bool) -> DeskError:
    """Error codes and statuses: https://learn.microsoft.com/graph/errors"""
    status = answer.status
    code, words = _error_of(answer.body)
    said = f"{status} {code}: {words}" if words else f"{status} {code}".strip()
    if status == 410 or code.lower() in LOST:
        return SyncLost(f"Outlook forgot the place in a folder ({said})")
    if status == 429:
        return Throttled(f"Outlook asks for a pause ({said})", pause)
    if status == 413 or code.lower() in TOO_LARGE:
        # the limits: learn.microsoft.com/graph/api/attachment-createuploadsession
        return TooLarge(
            "The mail is larger than this mailbox may send: 35 MB unless the administrator of"
            f" Microsoft 365 set another limit, 150 MB at most ({said}). Take files off, or send"
            " links to them"
        )
    if status < 500 and status != 408:
        return _refusal(status, said)
    unavailable = f"Outlook is not available ({said})"
    if is_final:
        return Ambiguous(unavailable)
    return Throttled(unavailable, pause) if pause else Transient(unavailable)


def _refusal(status: int, said: str) -> Permanent:
    match status:
        case 401:
            return Misconfigured(f"Outlook does not let us in ({said}): sign in again")
        case 403:
            return Misconfigured(
                f"Outlook does not allow this ({said}): the sign-in needs Mail.ReadWrite and"
                " Mail.Send, and for a shared mailbox the right to it"
            )
        case 404:
            return Gone(f"Outlook has no such item ({said})")
    return Permanent(f"Outlook refused the request ({said})")


def _error_of(content: bytes) -> tuple[str, str]:
    try:
        error = json.loads(content)["error"]
        return str(error["code"]), str(error.get("message", ""))[:200]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""
