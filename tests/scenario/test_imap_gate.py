"""How often a mailbox's server is asked to let us in, when it does not want to."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from desk.errors import Throttled, Transient
from mail.bucket import LocalLimits
from mail.imap_account import ImapAccount
from mail.imap_gate import ImapGate, StillRefused, signed_in
from mail.imap_line import Line
from mail.imap_login import LoginRefused
from tests.doubles.desk import FastClock
from tests.doubles.dovecot import PASSWORD
from tests.doubles.imap_box import account
from tests.doubles.imapd import HANG_UP, Imapd, imapd
from tests.doubles.tokens import TokenList

REFUSED = b"TAG NO [AUTHENTICATIONFAILED] no\r\n"


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def gate(clock: FastClock, pauses: list[float]) -> ImapGate:
    async def noted(seconds: float) -> None:
        pauses.append(seconds)

    return ImapGate("imap:alice@127.0.0.1", LocalLimits(), clock, noted)


def logins(server: Imapd) -> int:
    return sum(one.startswith("LOGIN") for one in server.commands)


async def entered(gate: ImapGate, given: ImapAccount) -> None:
    client = await gate.open(given)
    await client.logout()


async def test_a_refused_password_is_not_tried_again_for_minutes_and_another_one_at_once(
    gate: ImapGate, clock: FastClock
) -> None:
    async with imapd() as server:
        server.capabilities = b"IMAP4rev1"
        server.answers["LOGIN"] = lambda line: None if PASSWORD in line else REFUSED
        wrong = account(server.port, password="wrong")
        with pytest.raises(LoginRefused):
            await gate.open(wrong)
        for pause, tries in ((59, 1), (2, 2), (60, 2), (61, 3)):
            clock.forward(seconds=pause)
            with pytest.raises((StillRefused, LoginRefused), match="refused the login of alice"):
                await gate.open(wrong)
            assert logins(server) == tries
        await entered(gate, replace(wrong, password=PASSWORD))
        assert logins(server) == 4


async def test_a_server_that_fails_is_left_alone_and_then_tried_once(
    gate: ImapGate, clock: FastClock
) -> None:
    async with imapd() as server:
        server.answers["AUTHENTICATE"] = HANG_UP
        given = account(server.port)
        for _ in range(3):  # each tries twice
            with pytest.raises(Transient, match="closed the connection"):
                await gate.open(given)
        assert server.sessions == 6
        with pytest.raises(Throttled, match="closed the connection"):
            await gate.open(given)
        assert server.sessions == 6
        clock.forward(seconds=16)
        with pytest.raises(Transient):
            await gate.open(given)
        assert server.sessions == 7
        server.answers.clear()
        clock.forward(seconds=16)
        await entered(gate, given)
        await entered(gate, given)
        assert server.sessions == 9


async def test_a_server_that_is_busy_is_asked_again_after_a_pause_by_chance(
    gate: ImapGate, pauses: list[float]
) -> None:
    async with imapd() as server:
        busy = iter([b"TAG NO [INUSE] later\r\n"])
        server.answers["AUTHENTICATE"] = lambda line: next(busy, None)
        await entered(gate, account(server.port))
        assert server.sessions == 2
    [pause] = pauses
    assert 0 < pause < 0.5


async def test_a_refused_token_is_renewed_once_and_then_neither_is_asked_again(
    gate: ImapGate,
) -> None:
    async with imapd() as server:
        server.capabilities = b"IMAP4rev1 SASL-IR AUTH=XOAUTH2"
        server.answers["AUTHENTICATE"] = REFUSED
        tokens = TokenList(["expired", "revoked too"])
        line = Line(account(server.port, token=tokens), open=gate.open)
        with pytest.raises(LoginRefused):
            await line.use(lambda client: client.noop())
        for _ in range(3):
            with pytest.raises(StillRefused):
                await line.use(lambda client: client.noop())
        assert (server.sessions, tokens.refused) == (2, ["expired"])


@pytest.mark.parametrize("step", ["AUTHENTICATE", "CAPABILITY"])
async def test_a_server_that_only_says_that_it_works_on_it_is_given_up(step: str) -> None:
    """As Dovecot does while its own user database does not answer."""
    async with imapd() as server:
        server.endless = step
        with pytest.raises(Transient, match=r"within 0\.3 seconds"):
            await asyncio.wait_for(signed_in(account(server.port), "", 0.3), 5)
