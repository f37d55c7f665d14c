"""A signed-in IMAP connection that is opened when it is needed, and again when it broke."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from desk.errors import Transient
from mail.imap_account import ImapAccount
from mail.imap_client import ImapClient
from mail.imap_gate import signed_in
from mail.imap_login import LoginRefused
from mail.imap_seat import PATIENCE, UNUSED, Seat, Seats

T = TypeVar("T")
Open = Callable[[ImapAccount, str], Awaitable[ImapClient]]
"""With a token, or with the account's password where that is empty."""


class Line:
    """One connection, used by one task at a time."""

    def __init__(
        self, account: ImapAccount, seats: Seats | None = None, open: Open = signed_in
    ) -> None:
        self._account = account
        self._open = open
        self._seat = Seat(seats or Seats("", 0))
        self._leaving: asyncio.Task[None] | None = None
        self._client: ImapClient | None = None
        self._turn = asyncio.Lock()

    async def use(
        self, work: Callable[[ImapClient], Awaitable[T]], patience: float = PATIENCE
    ) -> T:
        """``work`` on a connection; once more on a new one when an old one proves dead.

        Raises Occupied when the mailbox has no connection left for ``patience`` seconds.
        """
        async with self._turn:
            if self._leaving is not None:
                self._leaving.cancel()
            try:
                return await self._use(work, patience)
            finally:
                if self._seat.is_taken:
                    self._leaving = asyncio.create_task(self._leave())

    async def _use(self, work: Callable[[ImapClient], Awaitable[T]], patience: float) -> T:
        if self._seat.is_due:
            await self._close()
        if self._client is not None and self._client.is_open:
            try:
                return await work(self._client)
            except Transient:
                if self._client.is_open:
                    raise
        await self._close()
        await self._seat.take(patience)
        try:
            self._client = await self._sign_in()
        finally:
            if self._client is None:
                await self._seat.give_back()
        return await work(self._client)

    async def _leave(self) -> None:
        """Somebody else may need the connection more."""
        await asyncio.sleep(UNUSED)
        async with self._turn:
            await self._close()

    async def close(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            await asyncio.wait([self._leaving])
        await self._close()

    async def _close(self) -> None:
        if self._client is not None:
            await self._client.logout()
            self._client = None
        await self._seat.give_back()

    async def _sign_in(self) -> ImapClient:
        """A token may have been revoked before its time: another one is asked for, once."""
        token = self._account.token
        if token is None:
            return await self._open(self._account, "")
        first = await token()
        try:
            return await self._open(self._account, first)
        except LoginRefused:  # servers make a connection wait for its second try
            return await self._open(self._account, await token.renewed(first))
