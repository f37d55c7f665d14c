"""Files that a person attaches to a reply: kept sealed with it, and covered by its approval."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from sqlalchemy import select

from desk.change import Change
from desk.email import Attachment
from desk.errors import Refused
from desk.ids import ResponseId
from desk.response import Envelope, Response
from desk.store import Store
from desk.tables.responses import files

MAX_BYTES = 15 * 1024 * 1024
"""Of all files of a reply: with what encoding adds, mail servers still take it; many refuse more
than 25 MB."""

MAX_FILES = 10
MAX_NAME = 120
ODD = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u202a-\u202e\u2066-\u2069]")
"""Control characters, path separators, and what turns the direction of text around."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file as it was uploaded. ``type`` is the media type that its sender claims."""

    name: str
    type: str
    data: bytes

    @property
    def attachment(self) -> Attachment:
        name = ODD.sub("_", self.name).strip(" .")[-MAX_NAME:] or "file"
        type = self.type if re.fullmatch(r"[\w.+-]+/[\w.+-]+", self.type) else ""
        digest = hashlib.sha256(self.data).hexdigest()
        return Attachment(name, type or "application/octet-stream", len(self.data), digest)


def attached(envelope: Envelope, file: NewFile) -> Envelope:
    """With the file, or Refused."""
    added = file.attachment
    if not file.data:
        raise Refused(f"{added.name} is empty")
    if any(known.sha256 == added.sha256 for known in envelope.attachments):
        raise Refused(f"{added.name} is attached already")
    total = sum(known.size for known in envelope.attachments) + added.size
    if total > MAX_BYTES or len(envelope.attachments) >= MAX_FILES:
        most = MAX_BYTES // 1024 // 1024
        raise Refused(f"A reply takes {MAX_FILES} files, {most} MB together: send a link instead")
    return replace(envelope, attachments=(*envelope.attachments, added))


def detached(envelope: Envelope, name: str) -> Envelope:
    """Without the file of this name, or without any for an empty name; Refused if it has none."""
    kept = tuple(known for known in envelope.attachments if name and known.name != name)
    if kept == envelope.attachments:
        raise Refused(f"{name} is not attached to this reply" if name else "No file is attached")
    return replace(envelope, attachments=kept)


async def keep(change: Change, response: ResponseId, file: NewFile) -> None:
    """The bytes, sealed in their own row."""
    row = {"response_id": response, "sha256": file.attachment.sha256}
    sealed = change.vault.seal(file.data, f"files.sealed:{response}:{row['sha256']}")
    await change.insert_or_ignore(files, {**row, "sealed": sealed}, ["response_id", "sha256"])


async def read(store: Store, response: Response) -> dict[str, bytes]:
    """The bytes of a reply's attachments by their SHA-256."""
    wanted = [one.sha256 for one in response.envelope.attachments]
    if not wanted:
        return {}
    query = select(files.c.sha256, files.c.sealed).where(
        files.c.response_id == response.id, files.c.sha256.in_(wanted)
    )
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()
    return {
        sha256: store.vault.open(sealed, f"files.sealed:{response.id}:{sha256}")
        for sha256, sealed in rows
    }
