"""The settings of mailboxes, and of those with whom people sign in to them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from desk.section import Port, Section
from desk.signature import Signature, faults

SAMPLE = "support"
"""The mailbox that there is while none is configured."""


class SmtpSettings(Section):
    """The server that sends a mailbox's replies."""

    host: str
    port: Port = 587
    user: str = ""
    password: SecretStr = SecretStr("")
    tls: Literal["none", "starttls", "tls"] = "starttls"


class MailboxSettings(Section):
    """A mailbox: ``kind`` maildir needs ``folder``, kind imap needs ``host`` and ``smtp``, gmail
    and outlook need the section ``oauth`` and a sign-in."""

    name: str = Field(max_length=64)
    address: str = Field(max_length=254)  # RFC 5321 §4.5.3.1.3, without the brackets
    kind: Literal["maildir", "imap", "gmail", "outlook"] = "maildir"
    aliases: tuple[str, ...] = ()
    display_name: str = ""
    signature: str = ""
    team: str = Field(default="", max_length=64)
    folder: Path | None = None
    host: str = ""
    port: Port = 993
    user: str = ""
    password: SecretStr = SecretStr("")
    sign_in: Literal["password", "google", "microsoft"] = "password"
    tls: Literal["none", "starttls", "tls"] = "tls"
    ca_file: Path | None = None
    read_folders: tuple[str, ...] = Field(default=("INBOX",), min_length=1)
    sent_folder: str = ""
    save_sent: Literal["auto", "always", "never"] = "auto"
    backfill_days: float = Field(default=14.0, ge=0)
    connections: int = Field(default=3, ge=2)
    api_url: str = ""
    smtp: SmtpSettings | None = None

    @field_validator("signature")
    @classmethod
    def _fillable(cls, value: str) -> str:
        if wrong := faults(value):
            raise ValueError(wrong)
        return value

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that are ours."""
        return (self.address, *self.aliases)

    @property
    def signed(self) -> Signature:
        return Signature(self.signature, self.display_name or self.name, self.address, self.team)


class OAuthClientSettings(Section):
    """Maildesk as an application that people sign in to. Empty addresses: the service's own."""

    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    authorize_url: str = ""
    token_url: str = ""


class MicrosoftClientSettings(OAuthClientSettings):
    """``tenant`` is an id or a domain; "common" takes every organisation's accounts."""

    tenant: str = "common"


class OAuthSettings(Section):
    """With whom mailboxes of kind gmail and outlook, and imap by ``sign_in``, are signed in."""

    google: OAuthClientSettings = OAuthClientSettings()
    microsoft: MicrosoftClientSettings = MicrosoftClientSettings()
