"""What works at Outlook and at Gmail."""

from __future__ import annotations

from urllib.parse import urlsplit

from desk.errors import Misconfigured, Permanent, Refused
from mail.bearer import Token
from mail.checkup import Try, encrypted, reaching
from mail.gmail_api import GmailApi
from mail.graph import Graph

ABSENT = "/messages/AAMkAGE1M2IyNGNmLTI5MTktNDUyZi1iOTVl/send"
"""No mail has this id. Graph looks at the rights first, so the answer tells them."""


def service_tries(url: str, token: Token) -> list[Try]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)

    async def tls() -> str:
        if parts.scheme != "https":
            raise Refused(f"not encrypted: {url} is a plain address")
        return await encrypted(host, port, None)

    async def signed_in() -> str:
        await token.renewed(await token())  # one that looks good may have been taken back
        return "the sign-in is good, and was renewed"

    return [
        *reaching("", host, port),
        Try("tls", tls, ("connect",)),
        Try("sign-in", signed_in, ("connect",)),
    ]


def outlook_tries(graph: Graph) -> list[Try]:
    async def counted(folder: str) -> str:
        found = await graph.read(f"/mailFolders/{folder}?$select=totalItemCount")
        return f"{found.get('totalItemCount', 0)} mails"

    async def may_send() -> str:
        try:
            await graph.create(ABSENT)
        except Misconfigured:
            raise
        except Permanent:
            return "Outlook would take mail"
        raise Misconfigured("Outlook answered strangely: it sent a mail that does not exist")

    async def unpaused() -> str:
        return "Outlook asks for no pause"

    return [
        Try("read", lambda: counted("inbox"), ("sign-in",)),
        Try("sent folder", lambda: counted("sentitems"), ("sign-in",)),
        Try("send", may_send, ("sign-in",)),
        Try("quota", unpaused, ("read",)),
    ]


def gmail_tries(api: GmailApi) -> list[Try]:
    async def read() -> str:
        found = await api.profile()
        return f"{found.get('emailAddress', 'the mailbox')}: {found.get('messagesTotal', 0)} mails"

    async def sent() -> str:
        found = await api.listed([("labelIds", "SENT"), ("maxResults", "1")])
        return "the sent mail can be read" if found.get("messages") else "nothing was sent yet"

    async def may_send() -> str:
        raise Refused("Gmail tells it when the first reply leaves; the sign-in asked for it")

    async def unpaused() -> str:
        return "Gmail asks for no pause"

    return [
        Try("read", read, ("sign-in",)),
        Try("sent folder", sent, ("sign-in",)),
        Try("send", may_send, ("sign-in",)),
        Try("quota", unpaused, ("read",)),
    ]
