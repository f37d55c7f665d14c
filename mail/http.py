"""HTTP as mailboxes speak it: answers are read whole; failures are translated at this border."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import orjson

from desk.errors import Ambiguous, Misconfigured, Transient
from mail.http_final import final_connector
from mail.provider import Ready, at_once

if TYPE_CHECKING:
    from aiohttp import ClientSession, TCPConnector

ANSWER_BYTES = 100 * 1024 * 1024
"""A longer answer is not read; a mail of 50 MB, the most that Gmail takes in, has 70 in base64."""

LONGEST_PAUSE = 24 * 3600.0
"""Seconds: whoever asks for more (or for what no clock can show) is asked again tomorrow."""

CONNECTIONS = 8
CONNECT_SECONDS = 10.0

Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status. ``host`` is for sentences."""

    host: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Raises Transient when the body is no JSON object: something in between cut it."""
        try:
            found = orjson.loads(self.body)
        except ValueError as error:
            raise Transient(f"{self.host} answered with something else than JSON") from error
        if not isinstance(found, dict):
            raise Transient(f"{self.host} answered with something else than a JSON object")
        return found

    def retry_after(self, now: datetime) -> float:
        """The seconds it asks us to wait, 0 when it does not (RFC 9110 §10.2.3: a number of
        seconds, or a date)."""
        asked = self.headers.get("Retry-After", "").strip()
        try:
            return _pause(float(asked)) if asked else 0.0
        except ValueError:
            pass
        try:
            until = parsedate_to_datetime(asked)
        except ValueError:
            return 0.0
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        return _pause((aware - now).total_seconds())


def _pause(seconds: float) -> float:
    return max(0.0, min(seconds, LONGEST_PAUSE))  # 0 when it is no number


class Http:
    """Requests over connections that are kept; an async context manager."""

    def __init__(self, timeout: float = 60.0) -> None:
        self._timeout = timeout
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        parameters: Parameters = (),
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        is_final: bool = False,
        ready: Ready = at_once,
        length: int = 0,
    ) -> Answer:
        """One request; redirects are not followed. Of a body, no more than ``length`` is read.

        Raises Transient when no whole answer came, Misconfigured when the certificate is wrong.
        ``is_final``: what is asked for must not happen twice; ``ready`` is awaited when the
        connection is there. A failure after that is Ambiguous, and no kept connection is used, for
        the server may just close it.
        """
        request = _Request(method, url, parameters, headers, content)
        with _translated(urlsplit(url).hostname or url, is_final):
            if is_final:
                async with self._opened(final_connector(ready)) as session:
                    return await _exchanged(session, request, length)
            if self._session is None:
                self._session = self._opened()
            return await _exchanged(self._session, request, length)

    def _opened(self, connector: TCPConnector | None = None) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        limits = ClientTimeout(total=self._timeout, connect=None, sock_connect=CONNECT_SECONDS)
        line = connector or TCPConnector(limit=CONNECTIONS)
        return ClientSession(timeout=limits, connector=line, cookie_jar=DummyCookieJar())


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    parameters: Parameters
    headers: Mapping[str, str] | None
    content: bytes | None


async def _exchanged(session: ClientSession, request: _Request, length: int) -> Answer:
    host = urlsplit(request.url).hostname or request.url
    async with session.request(
        request.method,
        request.url,
        params=list(request.parameters),
        headers=request.headers,
        data=BytesIO(request.content) if request.content else None,  # which goes out in pieces
        allow_redirects=False,
    ) as answer:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if length and len(body) >= length:
                del body[length:]
                break
            if len(body) > ANSWER_BYTES:
                raise Transient(f"{host} answered with more than {ANSWER_BYTES:,} bytes")
        return Answer(host, answer.status, answer.headers, bytes(body))


@contextmanager
def _translated(host: str, is_final: bool) -> Iterator[None]:
    import aiohttp

    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise Misconfigured(
            f"The certificate of {host} is not valid: {error.certificate_error}. Correct the "
            "address or the machine's certificates."
        ) from error
    except aiohttp.InvalidURL as error:
        raise Misconfigured(f"{host} is no address of a server: correct it") from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Transient(f"{host} cannot be reached: {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        if is_final:
            raise Ambiguous(
                f"{host} got the request and gave no whole answer ({type(error).__name__})"
            ) from error
        raise Transient(f"{host} gave no whole answer ({type(error).__name__})") from error
