"""Where and as whom an IMAP mailbox is read."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from mail.bearer import Token
from mail.imap_connection import Tls

Save = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class ImapAccount:
    """``token`` replaces the password."""

    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    tls: Tls = "tls"
    folders: tuple[str, ...] = ("INBOX",)
    sent_folder: str = ""  # "" = the one that the server marks as sent, else "Sent"
    save_sent: Save = "auto"
    backfill: timedelta = timedelta(days=14)
    connections: int = 3  # at once: one listens, the others read
    silence: float = 60.0
    pulse: float = 30.0  # while we listen, the server is asked for a sign of life so often …
    answer: float = 20.0  # … and has so long for it: who vanished is noticed within a minute
    page_seconds: float = 480.0  # for a page of mails, whatever the server says meanwhile …
    filing_seconds: float = 240.0  # … and for the copy of a mail that has left
    poll: float = 15.0  # where the server has no IDLE
    token: Token | None = field(default=None, repr=False)
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)
