"""Opens connections to one IMAP mailbox: politely, and counted over all processes.

Servers lock out whoever signs in too often, or with a wrong password: what was refused is not tried
again for minutes, but another password is at once.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from desk.breaker import Breaker
from desk.errors import Misconfigured, Throttled, Transient
from desk.ports import Clock, Limits
from mail.imap_account import ImapAccount
from mail.imap_client import ImapClient
from mail.imap_login import LoginRefused, bear, log_in
from mail.quota import Pace, Patience, Quota, Sleep

LOGINS = Pace(rate=1.0, burst=12, slots=2)
"""Ours alone: servers tell no limit. Dovecot makes whoever failed wait up to 15 s longer each time
(auth_failure_delay, anvil's penalty); Google and Microsoft lock accounts for a while."""

TRIES = Patience(tries=2, base=0.5, cap=2.0, budget=10.0)
"""The schedule comes again in seconds: more is not waited for while others queue for the worker."""

CONNECT_SECONDS = 20.0
SIGN_IN_SECONDS = 60.0
"""In all: a server may say for ever that it still works on it, as Dovecot does while its own user
database is away."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)


class StillRefused(Misconfigured):
    """The server said no to this password or token, and is not asked again yet."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    secret: bytes  # a digest
    words: str
    pause: timedelta
    until: datetime


class ImapGate:
    """One mailbox's, for as long as the process lives."""

    def __init__(
        self, key: str, limits: Limits, clock: Clock, sleep: Sleep = asyncio.sleep
    ) -> None:
        """``key`` names the account among all, and stands in sentences."""
        breaker = Breaker(clock, failures=6, window=120, rest=15)
        self._quota = Quota(key, LOGINS, limits, clock, TRIES, sleep, breaker)
        self._clock = clock
        self._refusal: _Refusal | None = None
        self._last = ""  # what went wrong last

    async def open(self, account: ImapAccount, token: str = "") -> ImapClient:
        """A signed-in connection. Raises Transient, LoginRefused, StillRefused, Misconfigured."""
        secret = hashlib.sha256(f"{account.user}\0{token or account.password}".encode()).digest()
        refusal = self._refusal
        if refusal and refusal.secret == secret and self._clock.now() < refusal.until:
            raise StillRefused(refusal.words)
        try:
            client = await self._quota.call(1.0, lambda: signed_in(account, token))
        except LoginRefused as error:
            self._remember(secret, error)
            raise
        except Throttled as error:
            raise Throttled(self._last or str(error), error.seconds) from error
        except Transient as error:
            self._last = str(error)
            raise
        self._refusal, self._last = None, ""
        return client

    def _remember(self, secret: bytes, error: LoginRefused) -> None:
        before = self._refusal
        is_again = before is not None and before.secret == secret
        pause = min(2 * before.pause, LONGEST_PAUSE) if before and is_again else FIRST_PAUSE
        self._refusal = _Refusal(secret, str(error), pause, self._clock.now() + pause)


async def signed_in(
    account: ImapAccount, token: str, seconds: float = SIGN_IN_SECONDS
) -> ImapClient:
    """At once, whoever else connects. An empty token: with the password."""
    try:
        async with asyncio.timeout(seconds):
            return await _signed_in(account, token)
    except TimeoutError as error:
        raise Transient(
            f"{account.host} did not let us in within {seconds:g} seconds: it is overloaded, or its"
            " own user database does not answer."
        ) from error


async def _signed_in(account: ImapAccount, token: str) -> ImapClient:
    client = await ImapClient.connect(
        account.host,
        account.port,
        account.tls,
        silence=account.silence,
        patience=min(account.silence, CONNECT_SECONDS),
        tls_context=account.tls_context,
    )
    try:
        if token:
            await bear(client, account.user, token)
        else:
            await log_in(client, account.user, account.password)
    except BaseException:
        await client.logout()
        raise
    return client
