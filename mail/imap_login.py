"""Into an IMAP server: the greeting, encryption, and who we are."""

from __future__ import annotations

import base64
import ssl
from functools import partial

from desk.errors import DeskError, Misconfigured, Transient
from mail.imap_session import BUSY, ImapSession, accept
from mail.imap_wire import Reply


class LoginRefused(Misconfigured):
    """Password or token are not right."""


async def greet(session: ImapSession, upgrade: ssl.SSLContext | None) -> None:
    greeting = await session.connection.read()
    if greeting.word == b"BYE":
        raise Transient(f"{session.host} takes no connections now: {greeting.text}")
    if greeting.tag != b"*" or greeting.word not in (b"OK", b"PREAUTH"):
        raise Misconfigured(f"{session.host} does not speak IMAP on this port; correct it.")
    await session.ask_capabilities()
    if upgrade:
        # PREAUTH would keep STARTTLS away and all mail in clear (RFC 9051 §11.1).
        if greeting.word == b"PREAUTH" or "STARTTLS" not in session.capabilities:
            raise Misconfigured(f"{session.host} offers no STARTTLS; set tls to tls.")
        await session.command(b"STARTTLS")
        await session.connection.start_tls(upgrade)
        await session.ask_capabilities()


async def log_in(session: ImapSession, user: str, password: str) -> None:
    """AUTHENTICATE PLAIN where it is offered, else LOGIN."""
    if "AUTH=PLAIN" in session.capabilities:
        await _authenticate(session, b"PLAIN", f"\0{user}\0{password}", user)
        return
    if "LOGINDISABLED" in session.capabilities:
        raise Misconfigured(
            f"{session.host} takes no password in clear; set tls to starttls or tls."
        )
    async with session.alone(refused=partial(_not_let_in, session, user)):
        await session.run(b"LOGIN", user, password)
    await session.ask_capabilities()


async def bear(session: ImapSession, user: str, token: str) -> None:
    """Sign in with an OAuth access token, by OAUTHBEARER (RFC 7628) where XOAUTH2 is not
    offered: https://developers.google.com/gmail/imap/xoauth2-protocol."""
    bearer = f"auth=Bearer {token}\1\1"
    if {"AUTH=OAUTHBEARER", "AUTH=XOAUTH2"} & session.capabilities == {"AUTH=OAUTHBEARER"}:
        name = user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 §4
        await _authenticate(session, b"OAUTHBEARER", f"n,a={name},\1{bearer}", user, b"AQ==")
    else:
        await _authenticate(session, b"XOAUTH2", f"user={user}\1{bearer}", user)


async def _authenticate(
    session: ImapSession, mechanism: bytes, secret: str, user: str, regret: bytes = b""
) -> None:
    """``regret`` answers a challenge that tells an error, and the refusal follows."""
    if f"AUTH={mechanism.decode()}" not in session.capabilities:
        raise Misconfigured(f"{session.host} does not offer {mechanism.decode()} logins.")
    answers = [base64.b64encode(secret.encode())]
    words = [b"AUTHENTICATE", mechanism]
    if "SASL-IR" in session.capabilities:
        words.append(answers.pop())
    async with session.alone(refused=partial(_not_let_in, session, user)):
        tag = await session.begin(*words)
        while (reply := await session.next_reply()).tag != tag:
            if reply.tag == b"+":
                await session.connection.write((answers.pop() if answers else regret) + b"\r\n")
        accept(reply)
    await session.ask_capabilities()


def _not_let_in(session: ImapSession, user: str, answer: Reply) -> DeskError:
    if BUSY.intersection(answer.code) or "too many" in answer.text.lower():
        return Transient(f"{session.host} lets nobody in now: {answer.text}")
    return LoginRefused(
        f"{session.host} refused the login of {user}: {answer.text}. Correct user and password."
    )
