"""A mailbox in a Maildir (https://cr.yp.to/proto/maildir.html); its sent mail goes to ``.Sent``.

Other programs may read, flag, move and delete at the same time: a mail is known by its unique
name, the part before ``:2,flags``, wherever it lies.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from urllib.parse import quote_from_bytes

from desk.errors import Ambiguous, Misconfigured, Transient
from mail.maildir_index import MaildirIndex
from mail.provider import MAIL_BYTES, NOWHERE, PAGE_BYTES, Arrival, Origin, Page, message_id_of

log = logging.getLogger(__name__)

INDEX = "maildesk-index"
FOLDERS = ("new", "cur")
HEAD_BYTES = 64 * 1024
SETTLE_NS = 2_000_000_000  # the coarsest time stamps of file systems (FAT)
PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}

Stamps = tuple[int, int]


class MaildirProvider:
    """``root`` holds tmp, new and cur. Checkpoints are ``index:number``, see MaildirIndex."""

    def __init__(self, root: Path, poll: float = 0.5) -> None:
        self._root = root
        self._poll = poll
        self._index = MaildirIndex(root / INDEX)
        self._paths: dict[str, str] = {}  # by key, as the last scan saw them
        self._settled: Stamps | None = None  # of the folders when a scan saw all there is
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> MaildirProvider:
        if not await asyncio.to_thread(_is_maildir, self._root):
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
                if await asyncio.to_thread(self._has_news):
                    return True
            left = deadline - clock.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, self._poll))

    async def send(
        self, mime: bytes, sender: str, recipients: Sequence[str], origin: Origin = NOWHERE
    ) -> None:
        await asyncio.to_thread(_file_sent, self._root / ".Sent", mime)

    async def find_sent(self, message_id: str) -> bool:
        return await asyncio.to_thread(_holds, self._root / ".Sent", message_id)

    def _fetch(self, checkpoint: str, limit: int) -> Page:
        with _translated(self._root):
            self._index.refresh()
            waiting, gone = self._waiting(checkpoint, limit + 1)
            if gone or len(waiting) <= limit:
                self._take_in()
                waiting, gone = self._waiting(checkpoint, limit + 1)
                # A listing may miss what is renamed meanwhile: should it show up, it is new again.
                self._index.forget(gone)
            return self._page(waiting, limit, self._number(checkpoint))

    def _page(self, waiting: Sequence[tuple[int, str]], limit: int, reached: int) -> Page:
        arrivals: list[Arrival] = []
        taken = weight = 0
        for number, key in waiting[:limit]:
            if weight > PAGE_BYTES:
                break
            taken, reached = taken + 1, number
            if arrival := self._read(key):
                arrivals.append(arrival)
                weight += len(arrival.raw)
            else:
                self._index.forget([key])
        return Page(tuple(arrivals), f"{self._index.id}:{reached}", more=len(waiting) > taken)

    def _number(self, checkpoint: str) -> int:
        index, _, number = checkpoint.partition(":")
        known = index == self._index.id and number.isdecimal() and int(number) <= self._index.last
        return int(number) if known else 0

    def _waiting(self, checkpoint: str, limit: int) -> tuple[list[tuple[int, str]], list[str]]:
        """The next numbered mails, and numbered ones among them that are not there."""
        waiting: list[tuple[int, str]] = []
        gone: list[str] = []
        for number, key in self._index.after(self._number(checkpoint)):
            if key not in self._paths:
                gone.append(key)
            elif len(waiting) < limit:
                waiting.append((number, key))
            else:
                break
        return waiting, gone

    def _take_in(self) -> None:
        """List the folders and number what is new."""
        stamps = self._scan()
        self._index.add(self._unknown())
        self._index.compact(self._paths)
        self._settled = stamps

    def _has_news(self) -> bool:
        with _translated(self._root):
            if self._stamps() == self._settled:
                return False
            self._index.refresh()
            stamps = self._scan()
            if self._unknown():
                return True
            self._settled = stamps
            return False

    def _stamps(self) -> Stamps:
        new, cur = (os.stat(self._root / folder).st_mtime_ns for folder in FOLDERS)
        return new, cur

    def _scan(self) -> Stamps | None:
        """Where each mail lies; the folders' times, None while they may hide a later change."""
        before, stamps = time.time_ns(), self._stamps()
        # First new, then cur: other programs move mails in this direction.
        self._paths = {
            _key(entry.name): entry.path
            for folder in FOLDERS
            for entry in _entries(self._root / folder)
        }
        return stamps if max(stamps) < before - SETTLE_NS else None

    def _unknown(self) -> list[str]:
        """Mails without a number that can be read, the oldest first."""
        unknown = [key for key in self._paths if key not in self._index]
        written = [(when, key) for key in unknown if (when := _written_at(self._paths[key]))]
        return [key for _, key in sorted(written)]

    def _read(self, key: str) -> Arrival | None:
        """None when the mail is gone, or cannot be read now."""
        for attempt in range(2):
            try:
                with open(self._paths.get(key, ""), "rb") as file:
                    written = min(os.fstat(file.fileno()).st_mtime, time.time())
                    received_at = datetime.fromtimestamp(max(written, 0), UTC)
                    return Arrival(key, file.read(MAIL_BYTES), received_at)
            except FileNotFoundError:
                if attempt == 0:
                    self._scan()  # its flags changed
            except OSError as error:
                log.warning("Mail %s cannot be read: %s", key, error.strerror)
                break
        return None


def deliver(root: Path, raw: bytes, name: str = "") -> str:
    """Put a mail into a Maildir, which is made when missing; returns its unique name.

    With a ``name`` of its own it is delivered once, however often this is called: "" says that
    it lay there already.
    """
    _make(root)
    if name and any(
        entry.name.partition(":")[0] == name for f in FOLDERS for entry in _entries(root / f)
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


def _key(name: str) -> str:
    """The unique name, spelled so that it is text, and one line, whatever its bytes are."""
    return quote_from_bytes(os.fsencode(name.partition(":")[0]), safe=PLAIN)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _written_at(path: str) -> int:
    """When the file was written, 0 when there is nothing in it that we can read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return max(os.fstat(file).st_mtime_ns, 1) if os.read(file, 1) else 0
        finally:
            os.close(file)
    except OSError:
        return 0


def _make(root: Path) -> None:
    for folder in ("tmp", *FOLDERS):
        (root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)


def _is_maildir(root: Path) -> bool:
    return all((root / folder).is_dir() for folder in ("tmp", *FOLDERS))


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _file_sent(folder: Path, mime: bytes) -> None:
    """File under a name that follows from the Message-ID: a repeat changes nothing."""
    name = _sent_name(message_id_of(mime) or mime.hex())
    with _translated(folder):
        _make(folder)
        (folder / "maildirfolder").touch()  # Maildir++: this is a folder of another Maildir
        if any(_key(entry.name) == name for sub in FOLDERS for entry in _entries(folder / sub)):
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


def _holds(folder: Path, message_id: str) -> bool:
    if not message_id or not _is_maildir(folder):
        return False
    with _translated(folder):
        entries = [entry for sub in FOLDERS for entry in _entries(folder / sub)]
    if any(_key(entry.name) == _sent_name(message_id) for entry in entries):
        return True
    wanted = message_id.encode()
    heads = (_head(entry.path) for entry in entries)
    return any(wanted in head and message_id_of(head) == message_id for head in heads)


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


@contextmanager
def _translated(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in DENIED:
            raise Misconfigured(f"{root} must be readable and writable for us: {error}") from error
        raise Transient(f"{root} cannot be used now: {error}") from error
