"""The folder of sent mail: which one it is, whether it holds a mail, and filing a copy."""

from __future__ import annotations

import asyncio

from desk.errors import Permanent
from mail.imap_account import ImapAccount
from mail.imap_client import ImapClient
from mail.imap_folder import open_folder
from mail.imap_wire import encode_folder
from mail.provider import message_id_of

LOOK_SECONDS = 60.0  # until we look again for a folder that is not there
SENT_NAMES = ("sent", "sent items", "sent mail", "sent messages")
# Their SMTP servers file what they take: https://support.google.com/mail/answer/78892,
# https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/pop3-and-imap4
KEEPING_HOSTS = ("outlook.com", "office365.com")


class SentFolder:
    def __init__(self, account: ImapAccount) -> None:
        self._account = account
        self._name = encode_folder(account.sent_folder)
        self._look_at = 0.0

    async def name(self, client: ImapClient) -> str:
        """In the server's spelling, "" while there is none."""
        now = asyncio.get_running_loop().time()
        if not self._name and now >= self._look_at:
            self._name = await _found(client)
            self._look_at = now + LOOK_SECONDS
        return self._name

    def forget(self) -> None:
        """Look again: it is not where it was."""
        self._name = encode_folder(self._account.sent_folder)
        self._look_at = 0.0

    async def holds(self, client: ImapClient, message_id: str) -> bool:
        folder = await self.name(client)
        if not folder or not message_id:
            return False
        await open_folder(client, folder)
        return bool(await client.uid_search(b"HEADER Message-ID", message_id))

    async def keep(self, client: ImapClient, mime: bytes) -> None:
        """File a copy once, unless the server does so itself."""
        if not self._is_ours_to_keep(client) or await self.holds(client, message_id_of(mime)):
            return
        self._name = await self.name(client) or await _created(client)
        await client.append(self._name, mime)

    def _is_ours_to_keep(self, client: ImapClient) -> bool:
        if self._account.save_sent != "auto":
            return self._account.save_sent == "always"
        is_kept = "X-GM-EXT-1" in client.capabilities or self._account.host.endswith(KEEPING_HOSTS)
        return not is_kept


async def _found(client: ImapClient) -> str:
    folders = [f for f in await client.list_folders() if "\\noselect" not in f.attributes]
    for folder in folders:
        if "\\sent" in folder.attributes:  # RFC 6154
            return folder.name
    for folder in folders:
        parts = folder.name.split(folder.delimiter) if folder.delimiter else [folder.name]
        if parts[-1].casefold() in SENT_NAMES:
            return folder.name
    return ""


async def _created(client: ImapClient) -> str:
    """A new folder; some servers (Courier, Cyrus) keep all folders below INBOX."""
    try:
        await client.create("Sent")
    except Permanent:
        delimiter = next((f.delimiter for f in await client.list_folders() if f.delimiter), ".")
        await client.create(f"INBOX{delimiter}Sent")
        return f"INBOX{delimiter}Sent"
    return "Sent"
