"""Hands a mail to an SMTP server, and knows afterwards whether it left.

The steps are driven one by one: only after the first byte of the body is the outcome open.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTP, SMTPResponse

from desk.errors import Ambiguous, Away, Misconfigured, Permanent, Transient
from mail.bearer import Token
from mail.provider import Ready, at_once

Tls = Literal["none", "starttls", "tls"]

# An address literal is a valid EHLO name (RFC 5321 §4.1.3) and says nothing about our network.
EHLO_NAME = "[127.0.0.1]"
UNSAFE = re.compile(r"[\x00-\x20\x7f<>]")


@dataclass(frozen=True, slots=True)
class SmtpSender:
    """One SMTP account. Each mail takes its own connection.

    ``token`` replaces the password (XOAUTH2). The server may
    take ``body_timeout`` to answer the body: the longer we listen the fewer outcomes stay open.
    """

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls = "starttls"
    timeout: float = 60.0
    body_timeout: float = 600.0  # RFC 5321 §4.5.3.2.6
    token: Token | None = field(default=None, repr=False)
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)

    async def send(
        self, mime: bytes, sender: str, recipients: Sequence[str], ready: Ready = at_once
    ) -> None:
        """Returns when the server took the mail for every recipient, else nobody gets it.

        Raises Transient, Permanent, Misconfigured or Ambiguous as ``Provider.send`` says.
        """
        if not recipients:
            raise Permanent("The mail has no recipient; add one.")
        for address in (*recipients, sender) if sender else recipients:  # "": a bounce's sender
            if not address or parseaddr(address) != ("", address) or UNSAFE.search(address):
                raise Permanent(f"{address!r} is no mail address that can be sent to; correct it.")
        body = with_line_ends(mime)
        content = stuffed(body)  # nothing is to be done between ``ready`` and the first byte
        with self._before_the_body():
            smtp = await self._let_in()
        try:
            with self._before_the_body():
                await self._envelope(smtp, body, sender, recipients)
                await self._begin_body(smtp)
            await ready()
            await self._body(smtp, content)
            with suppress(aiosmtplib.SMTPException, OSError):
                await smtp.quit(timeout=min(self.timeout, 5))
        finally:
            smtp.close()

    async def reach(self) -> None:
        """Whether the server answers and lets us in. Raises as ``send``."""
        with self._before_the_body():
            smtp = await self._let_in()
        try:
            with suppress(aiosmtplib.SMTPException, OSError):
                await smtp.quit(timeout=min(self.timeout, 5))
        finally:
            smtp.close()

    async def try_out(self, sender: str) -> None:
        """All of ``send`` up to the body, to ``sender`` itself: nothing leaves. Raises the same."""
        with self._before_the_body():
            smtp = await self._let_in()
        try:
            with self._before_the_body():
                await self._envelope(smtp, b"", sender, [sender])
                await smtp.rset()
            with suppress(aiosmtplib.SMTPException, OSError):
                await smtp.quit(timeout=min(self.timeout, 5))
        finally:
            smtp.close()

    async def _let_in(self) -> SMTP:
        """Signed in; a token may have been revoked before its time."""
        if self.token is None or not self.user:
            return await self._connected("")
        token = await self.token()
        try:
            return await self._connected(token)
        except aiosmtplib.SMTPAuthenticationError as error:
            if error.code < 500:
                raise
            return await self._connected(await self.token.renewed(token))

    async def _connected(self, token: str) -> SMTP:
        async def given() -> str:
            return token

        smtp = SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user or None,
            password=None if token or not self.user else self.password,
            oauth_token_generator=given if token else None,
            local_hostname=EHLO_NAME,
            timeout=self.timeout,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            tls_context=self.tls_context,
        )
        try:
            await smtp.connect()
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def _envelope(
        self, smtp: SMTP, body: bytes, sender: str, recipients: Sequence[str]
    ) -> None:
        if smtp.is_ehlo_or_helo_needed:
            with suppress(aiosmtplib.SMTPHeloError):  # mail() falls back to HELO
                await smtp.ehlo()
        foreign = not all(address.isascii() for address in (sender, *recipients))
        encoding = "utf-8" if foreign else "ascii"
        await smtp.mail(sender, options=self._options(smtp, body, foreign), encoding=encoding)
        refused = None
        for recipient in recipients:
            try:
                await smtp.rcpt(recipient, encoding=encoding)
            except aiosmtplib.SMTPRecipientRefused as error:
                if error.code >= 500:
                    raise
                refused = error
        if refused:
            raise refused

    async def _begin_body(self, smtp: SMTP) -> None:
        answer = await smtp.execute_command(b"DATA")
        if answer.code != 354:
            raise aiosmtplib.SMTPDataError(answer.code, answer.message)

    def _options(self, smtp: SMTP, body: bytes, foreign: bool) -> list[str]:
        options = []
        if smtp.supports_extension("size"):
            options.append(f"SIZE={len(body)}")
            limit = smtp.esmtp_extensions["size"]
            if limit.isdecimal() and 0 < int(limit) < len(body):  # RFC 1870 §5: 0 = no limit
                raise Permanent(
                    f"The mail has {len(body):,} bytes, {self.host} takes at most {int(limit):,}: "
                    "make the attachments smaller."
                )
        if not body.isascii() and smtp.supports_extension("8bitmime"):
            options.append("BODY=8BITMIME")
        if foreign:
            if not smtp.supports_extension("smtputf8"):
                raise Permanent(f"{self.host} does not take addresses with other than ASCII.")
            options.append("SMTPUTF8")
        return options

    async def _body(self, smtp: SMTP, content: bytes) -> None:
        answer = await self._answer(smtp, content)
        words = f"{self.host} answered the mail with: {answer.code} {answer.message}"
        if 400 <= answer.code < 500:
            raise Transient(words)
        if 500 <= answer.code < 600:
            raise Permanent(words)
        if not 200 <= answer.code < 300:
            raise Ambiguous(words)

    async def _answer(self, smtp: SMTP, content: bytes) -> SMTPResponse:
        protocol = smtp.protocol
        if protocol is None or not protocol.is_connected:
            raise Transient(f"{self.host} hung up before the mail was handed over.")
        try:
            protocol.write(content)
            return await protocol.read_response(timeout=self.body_timeout)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Ambiguous(
                f"{self.host} got the mail and did not say whether it took it ({error}): "
                "look into the sent mail before sending again."
            ) from error

    @contextmanager
    def _before_the_body(self) -> Iterator[None]:
        """Until here nothing was handed over, so each failure is definite."""
        try:
            yield
        except aiosmtplib.SMTPAuthenticationError as error:
            raise self._not_let_in(error) from error
        except aiosmtplib.SMTPResponseException as error:
            raise self._refusal(error) from error
        except ssl.SSLCertVerificationError as error:
            raise self._untrusted(error) from error
        except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPServerDisconnected) as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise self._untrusted(error.__cause__) from error
            raise Away(f"{self.host}:{self.port} cannot be reached: {error}") from error
        except (aiosmtplib.SMTPTimeoutError, OSError) as error:
            raise Away(f"{self.host}:{self.port} does not answer: {error}") from error
        except aiosmtplib.SMTPException as error:
            # Left over: an extension that we need (STARTTLS, AUTH) is not offered.
            raise Misconfigured(
                f"{self.host}:{self.port}: {error} Check the tls, user and port settings."
            ) from error
        except ValueError as error:
            raise Permanent(f"This is not a mail address that can be sent to: {error}") from error

    def _not_let_in(self, error: aiosmtplib.SMTPAuthenticationError) -> Transient | Misconfigured:
        words = f"{error.code} {error.message}"
        if 400 <= error.code < 500:  # RFC 4954 §6: 454 temporary authentication failure
            return Away(f"{self.host} cannot check the login now: {words}")
        return Misconfigured(
            f"{self.host} refused the login of {self.user}: {words}. Correct user and password."
        )

    def _refusal(self, error: aiosmtplib.SMTPResponseException) -> Transient | Permanent:
        words = f"{error.code} {error.message}"
        match error:
            case aiosmtplib.SMTPConnectResponseError() | aiosmtplib.SMTPHeloError():
                return Away(f"{self.host} takes no mail now: {words}")
            case aiosmtplib.SMTPRecipientRefused():
                sentence = f"{self.host} refused the recipient {error.recipient}: {words}"
            case aiosmtplib.SMTPSenderRefused():
                sentence = f"{self.host} refused the sender {error.sender}: {words}"
            case _:
                sentence = f"{self.host} refused the mail: {words}"
        if error.code == 421:  # RFC 5321 §3.8: it closes the line
            return Away(sentence)
        if error.code == 530:  # RFC 4954 §6: authentication required
            return Misconfigured(f"{sentence}. Set user and password.")
        return Permanent(sentence) if 500 <= error.code < 600 else Transient(sentence)

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> Misconfigured:
        return Misconfigured(
            f"The certificate of {self.host} is not valid: {error.verify_message}. "
            "Correct the host name or the machine's certificates."
        )


def with_line_ends(mime: bytes) -> bytes:
    """Every line ends with CRLF (RFC 5321 §2.3.8)."""
    return mime.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def stuffed(body: bytes) -> bytes:
    """As the body goes out, with its end (RFC 5321 §4.5.2)."""
    lines = body if body.endswith(b"\r\n") else body + b"\r\n"
    first = b"." if lines.startswith(b".") else b""
    return b"%s%s.\r\n" % (first, lines.replace(b"\r\n.", b"\r\n.."))
