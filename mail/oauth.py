"""Access tokens of a mailbox: renewed in time, by one at a time, and stored before they are used.

RFC 6749 (OAuth 2.0), with refresh tokens that may change at each renewal (§6).
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from desk.errors import DeskError, Misconfigured, Throttled, Transient
from desk.ports import Clock
from mail.http import Http

EARLY = timedelta(seconds=120)
LEASE = timedelta(seconds=90)
"""Longer than a request for a token may take; whoever died while renewing holds it up no longer."""

PATIENCE = 30.0
LONGEST = 24 * 3600.0  # seconds that a token is used, whatever the service says
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}

ENDED = ("invalid_grant", "interaction_required", "login_required", "consent_required")
BUSY = ("temporarily_unavailable", "server_error")

_chance = SystemRandom().random


@dataclass(frozen=True, slots=True)
class Service:
    """Where people sign in, and what we ask to be allowed."""

    name: str
    authorize_url: str
    token_url: str
    scopes: tuple[str, ...]
    extra: tuple[tuple[str, str], ...] = ()
    redirect_host: str = "127.0.0.1"


GOOGLE = Service(
    name="Google",
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106
    scopes=(
        "https://www.googleapis.com/auth/gmail.readonly",
        "https://www.googleapis.com/auth/gmail.send",
    ),
    # without both a second sign-in brings no refresh token:
    # https://developers.google.com/identity/protocols/oauth2/web-server#offline
    extra=(("access_type", "offline"), ("prompt", "consent")),
)


def microsoft(tenant: str) -> Service:
    """https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow; a redirect to
    ``localhost`` may have any port there, one to 127.0.0.1 must be registered by hand."""
    base = f"https://login.microsoftonline.com/{quote(tenant, safe='')}/oauth2/v2.0"
    graph = "https://graph.microsoft.com"
    return Service(
        name="Microsoft",
        authorize_url=f"{base}/authorize",
        token_url=f"{base}/token",
        scopes=(f"{graph}/Mail.ReadWrite", f"{graph}/Mail.Send", "offline_access"),
        extra=(("prompt", "select_account"),),
        redirect_host="localhost",
    )


@dataclass(frozen=True, slots=True)
class Client:
    """Maildesk as ``service`` knows it; a public client has no secret."""

    service: Service
    id: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox that somebody signs in, in the words of the command that does it."""

    name: str
    kind: str
    address: str

    @property
    def remedy(self) -> str:
        return (
            f"Sign in to {self.address} with `python app.py mailbox add {self.kind} --name"
            f" {shlex.quote(self.name)}`"
        )


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a person's sign-in gave us. ``renewing_until``: somebody renews it until then at most.
    ``is_ended``: the service does not accept it any more; only a person can sign in again."""

    refresh: str = field(repr=False)
    access: str = field(default="", repr=False)
    expires_at: datetime = LONG_AGO
    renewing_until: datetime | None = None
    is_ended: bool = False
    version: int = 0


class Tokens(Protocol):
    """Where the sign-in of one mailbox is kept, for all processes."""

    async def load(self) -> SignIn | None: ...

    async def save(self, sign_in: SignIn) -> bool:
        """Keep it if the stored one still has its version (0: none is stored); the version is then
        one higher. False when somebody was faster."""
        ...


class TokenSource:
    """mail.bearer.Token: ``await source()`` is a token that is good for a while. ``account`` is
    for sentences."""

    def __init__(
        self, account: Account, client: Client, tokens: Tokens, http: Http, clock: Clock
    ) -> None:
        self._account = account
        self._client = client
        self._tokens = tokens
        self._http = http
        self._clock = clock
        self._turn = asyncio.Lock()
        self._known: SignIn | None = None
        self._unsaved: SignIn | None = None
        self._flights: set[asyncio.Task[str]] = set()

    async def __call__(self) -> str:
        """Raises Misconfigured when a person must sign in, Transient when the service is away."""
        known = self._known
        if known and self._unsaved is None and self._clock.now() < known.expires_at - EARLY:
            return known.access
        return await self._shared("")

    async def renewed(self, refused: str) -> str:
        """Another token than ``refused``, which the server did not take although it looked good."""
        return await self._shared(refused)

    async def close(self) -> None:
        """Renewals under way are ended: a new refresh token must not get lost."""
        if self._flights:
            await asyncio.wait(self._flights)

    async def _shared(self, refused: str) -> str:
        """One flight at a time, which goes on when whoever asked is cancelled."""
        async with self._turn:
            flight = asyncio.create_task(self._found(refused))
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)
            return await asyncio.shield(flight)

    async def _found(self, refused: str) -> str:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            known = await self._stored()
            now = self._clock.now()
            is_free = known.renewing_until is None or known.renewing_until <= now
            is_good = bool(known.access) and known.access != refused and now < known.expires_at
            if is_good and (not is_free or now < known.expires_at - EARLY):
                return known.access
            if is_free:
                claimed = replace(known, renewing_until=now + LEASE)
                if await self._tokens.save(claimed):
                    return await self._renewed(_next(claimed), is_good)
                continue  # somebody was faster
            if loop.time() > deadline:
                raise Transient(f"The sign-in of {self._account.name} is being renewed elsewhere")
            await asyncio.sleep(0.05 + 0.2 * _chance())

    async def _stored(self) -> SignIn:
        if self._unsaved is not None:
            await self._keep(self._unsaved)
        self._known = known = await self._tokens.load()
        if known is None:
            raise Misconfigured(f"{self._account.name} is not signed in. {self._account.remedy}")
        if known.is_ended:
            raise Misconfigured(self._ended)
        return known

    async def _renewed(self, claimed: SignIn, is_good: bool) -> str:
        form = {"grant_type": "refresh_token", "refresh_token": claimed.refresh}
        try:
            answer = await ask_for_token(self._client, self._http, form, self._clock)
        except SignInEnded as error:
            await self._tokens.save(replace(claimed, is_ended=True, renewing_until=None))
            raise Misconfigured(self._ended) from error
        except DeskError as error:
            await self._tokens.save(replace(claimed, renewing_until=None))
            if is_good and isinstance(error, Transient):
                return claimed.access
            raise
        fresh = sign_in_of(answer, self._clock.now(), claimed.refresh)
        await self._keep(replace(fresh, version=claimed.version))
        known = await self._stored()  # ours, or that of a person who signed in meanwhile
        return known.access

    async def _keep(self, fresh: SignIn) -> None:
        """Until it is stored it stays here: the service may have forgotten the one before."""
        self._unsaved = fresh
        if not await self._tokens.save(fresh):
            stored = await self._tokens.load()
            if stored is not None and stored.is_ended:  # by somebody who tried the one before
                await self._tokens.save(replace(fresh, version=stored.version))
        self._unsaved = None

    @property
    def _ended(self) -> str:
        return (
            f"{self._account.name} needs sign-in: {self._client.service.name} does not accept it"
            f" any more. {self._account.remedy}"
        )


class SignInEnded(Misconfigured):
    """The service wants a person to sign in."""


async def ask_for_token(
    client: Client, http: Http, form: Mapping[str, str], clock: Clock
) -> dict[str, Any]:
    """A token answer (RFC 6749 §5). Raises SignInEnded, Misconfigured, Throttled or Transient."""
    secret = {"client_secret": client.secret} if client.secret else {}
    content = urlencode({**form, "client_id": client.id, **secret}).encode()
    answer = await http.request("POST", client.service.token_url, headers=FORM, content=content)
    name = client.service.name
    if answer.status == 429 or answer.status >= 500:
        pause = answer.retry_after(clock.now())
        raise Throttled(f"{name} renews no sign-ins now (status {answer.status})", pause)
    found = answer.json()
    if answer.status == 200 and isinstance(found.get("access_token"), str):
        return found
    code = str(found.get("error", f"status {answer.status}"))
    said = f"{code}: {found.get('error_description', '')}".strip(": ")
    if code in ENDED:
        raise SignInEnded(f"{name} asks to sign in again ({said})")
    if code in BUSY or answer.status == 200:
        raise Transient(f"{name} gave no token ({said})")
    raise Misconfigured(f"{name} refuses Maildesk ({said}): check client_id and client_secret")


def sign_in_of(answer: Mapping[str, Any], now: datetime, refresh: str = "") -> SignIn:
    """Of a token answer; the refresh token stays where it brings no new one (RFC 6749 §6)."""
    seconds = answer.get("expires_in", 3600)
    told = float(seconds) if str(seconds).isdecimal() else 3600.0
    return SignIn(
        refresh=str(answer.get("refresh_token") or refresh),
        access=str(answer["access_token"]),
        expires_at=now + timedelta(seconds=min(told, LONGEST)),
    )


def _next(sign_in: SignIn) -> SignIn:
    return replace(sign_in, version=sign_in.version + 1)
