"""A mailbox in a Maildir (https://cr.yp.to/proto/maildir.html); its sent mail lies in ``.Sent``."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from desk.errors import Ambiguous, Misconfigured
from desk.ports import Clock, SystemClock
from mail.maildir_folder import FOLDERS, MaildirFolder, entries, mail_key, translated
from mail.place import Place
from mail.provider import NOWHERE, PAGE_BYTES, Origin, Page, Ready, at_once, message_id_of

HEAD_BYTES = 64 * 1024
INBOX, SENT = "INBOX", ".Sent"


class MaildirProvider:
    """``root`` holds tmp, new and cur. Mail written more than ``backfill`` before the first fetch
    of all is left alone (None: nothing is); of sent mail all that was there before."""

    def __init__(
        self,
        root: Path,
        poll: float = 0.5,
        backfill: timedelta | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._root = root
        self._poll = poll
        self._backfill = backfill
        self._clock = clock or SystemClock()
        self._inbox = MaildirFolder(root)
        self._sent = MaildirFolder(root / SENT, is_sent=True)
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> MaildirProvider:
        if not await asyncio.to_thread(lambda: self._inbox.exists):
            raise Misconfigured(
                f"{self._root} is no Maildir: create the folders tmp, new and cur in it, "
                "or correct the mailbox's path."
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        async with self._turn:
            return await asyncio.to_thread(self._fetch, checkpoint, limit)

    async def wait(self, seconds: float) -> bool:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        while True:
            async with self._turn:
                if await asyncio.to_thread(self._inbox.has_news):
                    return True
            left = deadline - clock.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, self._poll))

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        await ready()
        await asyncio.to_thread(_file_sent, self._root / SENT, mime)

    async def find_sent(self, message_id: str) -> bool:
        return await asyncio.to_thread(_holds, self._sent, message_id)

    def _fetch(self, checkpoint: str, limit: int) -> Page:
        place = Place.read(checkpoint, self._clock.now())
        if not place.folders and self._sent.exists:
            place = place.moved(SENT, self._sent.end())
        since = datetime.min.replace(tzinfo=UTC)
        if self._backfill is not None:
            since = place.connected - self._backfill
        found = self._inbox.read(place.at(INBOX), since, limit)
        arrivals, place = place.told(found.arrivals), place.moved(INBOX, found.position)
        is_full = found.more or sum(len(arrival.raw) for arrival in arrivals) > PAGE_BYTES
        if is_full or not self._sent.exists:
            return Page(arrivals, place.written(), is_full)
        sent = self._sent.read(place.at(SENT), place.sent_since, limit - len(arrivals))
        place = place.moved(SENT, sent.position)
        return Page(arrivals + sent.arrivals, place.written(), sent.more)


def deliver(root: Path, raw: bytes, name: str = "") -> str:
    """Put a mail into a Maildir, which is made when missing; returns its unique name.

    With a ``name`` of its own it is delivered once, however often this is called: "" says that
    it lay there already.
    """
    _make(root)
    if name and any(
        entry.name.partition(":")[0] == name for f in FOLDERS for entry in entries(root / f)
    ):
        return ""
    draft = root / "tmp" / _unique_name()
    _write(draft, raw)
    name = name or draft.name
    draft.rename(root / "new" / name)
    return name


def _unique_name() -> str:
    host = socket.gethostname().replace("/", r"\057").replace(":", r"\072")
    return f"{time.time_ns() / 1e9:.6f}.P{os.getpid()}R{secrets.token_hex(8)}.{host}"


def _make(root: Path) -> None:
    for folder in ("tmp", *FOLDERS):
        (root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _file_sent(folder: Path, mime: bytes) -> None:
    """File under a name that follows from the Message-ID: a repeat changes nothing."""
    name = _sent_name(message_id_of(mime) or mime.hex())
    with translated(folder):
        _make(folder)
        (folder / "maildirfolder").touch()  # Maildir++: this is a folder of another Maildir
        if any(mail_key(entry.name) == name for sub in FOLDERS for entry in entries(folder / sub)):
            return
        draft = folder / "tmp" / f"{name}.{secrets.token_hex(4)}"
        try:
            _write(draft, mime)
            draft.rename(folder / "cur" / f"{name}:2,S")
        except OSError:
            draft.unlink(missing_ok=True)
            raise
    try:
        _sync(folder / "cur")
    except OSError as error:
        raise Ambiguous(f"It is not sure that the disk keeps the sent mail: {error}") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sent_name(message_id: str) -> str:
    return f"{hashlib.sha256(message_id.encode('utf-8', 'replace')).hexdigest()[:40]}.maildesk"


def _holds(folder: MaildirFolder, message_id: str) -> bool:
    if not message_id or not folder.exists:
        return False
    with translated(folder.root):
        mails = [entry for sub in FOLDERS for entry in entries(folder.root / sub)]
    if any(mail_key(entry.name) == _sent_name(message_id) for entry in mails):
        return True
    wanted = message_id.encode()
    heads = (_head(entry.path) for entry in mails)
    return any(wanted in head and message_id_of(head) == message_id for head in heads)


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""
