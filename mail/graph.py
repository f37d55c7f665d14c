"""Calls to Microsoft Graph for one mailbox: identity, limits, and its errors in our words."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from urllib.parse import quote

from desk.errors import Ambiguous, Misconfigured, Permanent, Throttled, Transient

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
Token = Callable[[], Awaitable[str]]
Record = Mapping[str, Any]

GLOBAL = "https://graph.microsoft.com/v1.0"
SLOTS = 4  # Outlook service limits: requests at a time for an app and mailbox
PAUSE, LONGEST_PAUSE, TRIES = 0.5, 30.0, 6
# concepts/outlook-immutable-id: the header counts for the request that it comes with
IMMUTABLE = 'IdType="ImmutableId"'
LOST = {"syncstatenotfound", "resyncrequired", "syncstateinvalid"}


class Gone(Permanent):
    """What was asked for is not in the mailbox."""


class SyncLost(Permanent):
    """The place in the changes of a folder is known no longer: read the folder anew."""


class Gate(Protocol):
    """What every call goes through: the limits of the service, and trying again."""

    async def call(self, weight: float, request: Callable[[], Awaitable[T]]) -> T:
        """Raises what ``request`` raised last; only Transient is tried again."""
        ...


class LocalGate:
    """The limits of one process: four calls at a time, full-jitter pauses, Retry-After kept."""

    def __init__(self, pause: float = PAUSE) -> None:
        self._slots = asyncio.Semaphore(SLOTS)
        self._pause = pause

    async def call(self, weight: float, request: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(TRIES - 1):
            try:
                async with self._slots:
                    return await request()
            except Transient as error:
                asked = error.seconds if isinstance(error, Throttled) else 0.0
                if asked > LONGEST_PAUSE:
                    raise
                await asyncio.sleep(asked + random.uniform(0, self._pause * 2**attempt))  # noqa: S311
        async with self._slots:
            return await request()


@dataclass(frozen=True, slots=True)
class GraphAccount:
    """``mailbox`` is empty for that of whoever signed in, else the address of a shared one."""

    token: Token = field(repr=False)
    mailbox: str = ""
    url: str = GLOBAL
    timeout: float = 60.0

    @property
    def root(self) -> str:
        who = f"users/{quote(self.mailbox, safe='@')}" if self.mailbox else "me"
        return f"{self.url.rstrip('/')}/{who}"


class Graph:
    """An async context manager. Paths begin below the mailbox; whole addresses are those that
    Graph itself gave us, and are never followed elsewhere with our token."""

    def __init__(self, account: GraphAccount, gate: Gate) -> None:
        self._account = account
        self._gate = gate
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_read=self._account.timeout, connect=30)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def owns(self, link: str) -> bool:
        return link.startswith(f"{self._account.url.rstrip('/')}/")

    async def read(self, path: str, page_size: int = 0) -> Record:
        """A JSON answer. Raises Gone, SyncLost, Transient, Misconfigured or Permanent."""
        prefer = f"{IMMUTABLE}, odata.maxpagesize={page_size}" if page_size else IMMUTABLE

        async def request() -> Record:
            async with self._exchange("GET", path, {"Prefer": prefer}) as answer:
                return _object(await answer.read())

        return await self._gate.call(1, request)

    async def read_raw(self, path: str, limit: int) -> bytes:
        """The first ``limit`` bytes of a mail."""

        async def request() -> bytes:
            content = bytearray()
            async with self._exchange("GET", path, {"Prefer": IMMUTABLE}) as answer:
                async for chunk in answer.content.iter_any():
                    content += chunk
                    if len(content) >= limit:
                        break
            return bytes(content[:limit])

        return await self._gate.call(1, request)

    async def write(self, method: str, path: str, changes: Record | None = None) -> Record:
        """For what may be repeated."""

        async def request() -> Record:
            body = b"" if changes is None else changes
            async with self._exchange(method, path, {"Prefer": IMMUTABLE}, body) as answer:
                content = await answer.read()
                return _object(content) if content else {}

        return await self._gate.call(1, request)

    async def write_once(self, path: str, body: bytes = b"") -> Record:
        """For what must not happen twice: raises Ambiguous when it may have happened."""

        async def request() -> Record:
            try:
                async with self._exchange("POST", path, {"Prefer": IMMUTABLE}, body) as answer:
                    content = await answer.read()
            except _NoAnswer as error:
                raise Ambiguous(str(error)) from error
            return _object(content) if content else {}

        return await self._gate.call(1, request)

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes | Record = b""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One answer that is not an error; a token that was refused is asked for once more."""
        import aiohttp

        if self._session is None:
            raise Transient("Outlook is not opened yet")
        url = path if self.owns(path) else f"{self._account.root}{path}"
        if isinstance(body, bytes):
            data, kind = body, "text/plain"
        else:
            data, kind = json.dumps(body).encode(), "application/json"
        headers = {**headers, "Content-Type": kind} if data else headers
        try:
            for attempt in range(2):
                token = await self._account.token()
                sent = {**headers, "Authorization": f"Bearer {token}"}
                async with self._session.request(
                    method, _encoded(url), headers=sent, data=data, allow_redirects=False
                ) as answer:
                    if answer.status == 401 and attempt == 0:
                        continue
                    if answer.status >= 300:
                        raise _failure(answer.status, answer.headers, await answer.read())
                    yield answer
                    return
        except aiohttp.ClientConnectorError as error:
            raise Transient(f"Outlook cannot be reached: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _NoAnswer(f"Outlook broke off: {error or type(error).__name__}", 0.0) from error


class _NoAnswer(Throttled):
    """It may or may not have been carried out."""


def _encoded(url: str) -> Any:
    """Tokens in Graph's links are opaque: sent back as they came."""
    from yarl import URL

    return URL(url, encoded=True)


def _object(content: bytes) -> Record:
    try:
        record = json.loads(content)
    except ValueError as error:
        raise Transient("Outlook's answer was cut off") from error
    if not isinstance(record, dict):
        raise Transient("Outlook's answer is not the JSON that its documentation describes")
    return record


def _failure(status: int, headers: Mapping[str, str], content: bytes) -> Exception:
    code, words = _error_of(content)
    said = f"{status} {code}: {words}" if words else f"{status} {code}".strip()
    if status == 410 or code.lower() in LOST:
        return SyncLost(f"Outlook forgot the place in a folder ({said})")
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
        case 413:
            return Permanent(f"The mail is too large for Outlook ({said})")
        case 429:
            return Throttled(f"Outlook asks for a pause ({said})", retry_after(headers))
        case _ if status >= 500:
            return _NoAnswer(f"Outlook is not available ({said})", retry_after(headers))
    return Permanent(f"Outlook refused the request ({said})")


def _error_of(content: bytes) -> tuple[str, str]:
    try:
        error = json.loads(content)["error"]
        return str(error["code"]), str(error.get("message", ""))[:200]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds, from either form of RFC 9110 §10.2.3; 0 when the other side does not say."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    moment = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
