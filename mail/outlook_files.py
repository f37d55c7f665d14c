"""A reply that is too large for one request: its draft is made without the files, and these are
added one by one.

"Attach large files to Outlook messages or events" and "attachment: createUploadSession"
(learn.microsoft.com/graph).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import quote

from desk.errors import Ambiguous, Misconfigured, Permanent, Transient
from mail.graph import Graph, TooLarge
from mail.http import Answer
from mail.record import any_text_in, records_in

MEGABYTE = 1024 * 1024
WHOLE = 3_000_000
"""A longer mail has, in base64, more than the 4 MB of the longest request."""

ONE_REQUEST = 3 * MEGABYTE
LARGEST = 150 * MEGABYTE
PART = 12 * 320 * 1024
"""Of a file in one request: below 4 MB, a multiple of the 320 KiB that upload sessions count in."""

SESSIONS = 4
"""For one file: what ended one (its hour is over, a move of the mailbox) rarely comes twice."""


@dataclass(frozen=True, slots=True)
class File:
    name: str
    type: str
    data: bytes = field(repr=False)


def parted(mime: bytes) -> tuple[bytes, tuple[File, ...]]:
    """The mail without its files, and these; whole where it fits into one request. The files are
    what mail.compose puts there: the parts after the first, each an attachment."""
    if len(mime) <= WHOLE:
        return mime, ()
    mail = message_from_bytes(mime)
    given = mail.get_payload() if mail.get_content_type() == "multipart/mixed" else []
    parts = [part for part in given if isinstance(part, Message)][1:]
    if not parts or any(part.get_content_disposition() != "attachment" for part in parts):
        return mime, ()
    line = b"--" + str(mail.get_boundary()).encode()
    _, second, *_ = (found.start() for found in re.finditer(rb"(?m)^" + re.escape(line), mime))
    return mime[:second] + line + b"--\r\n", tuple(_file(part) for part in parts)


def _file(part: Message) -> File:
    data = part.get_payload(decode=True)
    return File(
        part.get_filename() or "file",
        part.get_content_type(),
        data if isinstance(data, bytes) else b"",
    )


class _Ended(Exception):
    """The upload session is no more; the file is there, or it begins anew."""


class Files:
    """Adds files to drafts."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def add(self, draft: str, files: Sequence[File]) -> None:
        """Raises Transient when they did not all arrive, Permanent when Outlook refuses one."""
        for count, file in enumerate(files, start=1):
            if len(file.data) > LARGEST:
                most = LARGEST // MEGABYTE
                raise Permanent(f"{file.name} has more than the {most} MB that Outlook takes")
            if len(file.data) < ONE_REQUEST:
                await self._attach(draft, file)
            else:
                await self._upload(draft, file, count)
        if files:
            await self._require(draft, files)

    async def _attach(self, draft: str, file: File) -> None:
        content = {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": file.name,
            "contentType": file.type,
            "contentBytes": base64.b64encode(file.data).decode(),
        }
        try:
            await self._graph.add(f"{_path(draft)}/attachments", content)
        except Ambiguous as error:  # the draft may have it, and is made anew
            raise Transient(str(error)) from error

    async def _upload(self, draft: str, file: File, count: int) -> None:
        """``count`` is how many files the draft has afterwards."""
        for _ in range(SESSIONS):
            upload = Upload(self._graph, await self._begun(draft, file), file.data)
            try:
                return await upload.finish()
            except _Ended:
                if len(await self._there(draft)) >= count:
                    return  # the answer to the last part was lost
        raise Transient(f"Outlook ended the upload of {file.name} again and again")

    async def _begun(self, draft: str, file: File) -> str:
        item = {
            "attachmentType": "file",
            "name": file.name,
            "contentType": file.type,
            "size": len(file.data),
        }
        path = f"{_path(draft)}/attachments/createUploadSession"
        try:
            session = await self._graph.change("POST", path, {"AttachmentItem": item})
        except Misconfigured as error:
            # known-issues#attaching-large-files-to-messages-with-delegated-permissions-can-fail
            raise Misconfigured(
                f"{error}. Outlook may refuse files of more than 3 MB in a shared mailbox: send a"
                " link to the file"
            ) from error
        address = any_text_in(session, "uploadUrl")
        if not address:
            raise Transient("Outlook began no upload")
        return address

    async def _there(self, draft: str) -> list[str]:
        """The names of its files."""
        names: list[str] = []
        link = f"{_path(draft)}/attachments?$select=id,name,size"
        while link:
            page = await self._graph.read(link)
            names += (any_text_in(one, "name") for one in records_in(page, "value"))
            link = any_text_in(page, "@odata.nextLink")
        return sorted(names)

    async def _require(self, draft: str, files: Sequence[File]) -> None:
        if await self._there(draft) != sorted(file.name for file in files):
            raise Transient("Outlook did not keep the files of the reply as they were handed over")


class Upload:
    """One file through one upload session. Its address needs no token, and is given none."""

    def __init__(self, graph: Graph, address: str, data: bytes) -> None:
        self._graph = graph
        self._address = address
        self._data = data
        self._next: int | None = 0  # None: ask what has arrived

    async def finish(self) -> None:
        for _ in range(2 + 2 * len(self._data) // PART):
            if await self._graph.paced(self._step):
                return
        raise Transient("Outlook asks for the same parts of a file again and again")

    async def _step(self) -> bool:
        """Hand over the next part; whether that was the last. After a failure it may be repeated,
        and then asks first where to go on."""
        start, self._next = self._next, None
        if start is None:
            start = _awaited(await self._answer("GET"))
        part = self._data[start : start + PART]
        total = len(self._data)
        if not part:
            raise _Ended
        span = f"bytes {start}-{start + len(part) - 1}/{total}"
        answer = await self._answer("PUT", part, span)
        if answer.status == 201:
            return True
        self._next = _awaited(answer)
        return False

    async def _answer(self, method: str, content: bytes | None = None, span: str = "") -> Answer:
        about = {"Content-Type": "application/octet-stream", "Content-Range": span} if span else {}
        try:
            return await self._graph.at(method, self._address, about, content)
        except TooLarge:
            raise
        except Permanent as error:  # it is forgotten, its token has ended, or parts were mixed up
            raise _Ended from error


def _awaited(answer: Answer) -> int:
    """Where the next part begins: "2097152", or "2097152-3483321"."""
    ranges: Any = answer.json().get("nextExpectedRanges")
    try:
        return int(str(ranges[0]).partition("-")[0])
    except (TypeError, IndexError, ValueError):
        raise _Ended from None


def _path(draft: str) -> str:
    return f"/messages/{quote(draft)}"
