"""One folder of a Maildir: its mails in the order in which they were first seen.

Other programs may read, flag, move and delete at the same time: a mail is known by its unique
name, the part before ``:2,flags``, wherever it lies.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote_from_bytes

from desk.errors import Misconfigured, Transient
from mail.maildir_index import MaildirIndex
from mail.place import Found
from mail.provider import MAIL_BYTES, PAGE_BYTES, Arrival

log = logging.getLogger(__name__)

INDEX = "maildesk-index"
FOLDERS = ("new", "cur")
SETTLE_NS = 2_000_000_000  # the coarsest time stamps of file systems (FAT)
PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}

Stamps = tuple[int, int]


class MaildirFolder:
    """``root`` holds tmp, new and cur; calls block. Positions are ``index:number``."""

    def __init__(self, root: Path, is_sent: bool = False) -> None:
        self.root = root
        self._is_sent = is_sent
        self._index = MaildirIndex(root / INDEX)
        self._paths: dict[str, str] = {}  # by key, as the last scan saw them
        self._settled: Stamps | None = None  # of the folders when a scan saw all there is

    @property
    def exists(self) -> bool:
        return all((self.root / folder).is_dir() for folder in ("tmp", *FOLDERS))

    def end(self) -> str:
        """The position behind all that lies here now."""
        with translated(self.root):
            self._index.refresh()
            self._take_in()
            return f"{self._index.id}:{self._index.last}"

    def read(self, position: str, since: datetime, limit: int) -> Found:
        """At most ``limit`` mails after ``position`` that were written ``since`` then."""
        with translated(self.root):
            self._index.refresh()
            waiting, gone = self._waiting(position, since, limit + 1)
            if gone or len(waiting) <= limit:
                self._take_in()
                waiting, gone = self._waiting(position, since, limit + 1)
                # A listing may miss what is renamed meanwhile: should it show up, it is new again.
                self._index.forget(gone)
            return self._page(waiting, limit, self._number(position))

    def _page(self, waiting: Sequence[tuple[int, str]], limit: int, reached: int) -> Found:
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
        more = len(waiting) > taken
        if not more:  # what is too old needs no second look
            reached = max(reached, self._index.last)
        return Found(tuple(arrivals), f"{self._index.id}:{reached}", more)

    def _number(self, position: str) -> int:
        index, _, number = position.partition(":")
        known = index == self._index.id and number.isdecimal() and int(number) <= self._index.last
        return int(number) if known else 0

    def _waiting(
        self, position: str, since: datetime, limit: int
    ) -> tuple[list[tuple[int, str]], list[str]]:
        """The next numbered mails, and numbered ones among them that are not there."""
        waiting: list[tuple[int, str]] = []
        gone: list[str] = []
        for number, key in self._index.after(self._number(position)):
            if key not in self._paths:
                gone.append(key)
            elif _is_older(self._paths[key], since):
                continue
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

    def has_news(self) -> bool:
        with translated(self.root):
            if self._stamps() == self._settled:
                return False
            self._index.refresh()
            stamps = self._scan()
            if self._unknown():
                return True
            self._settled = stamps
            return False

    def _stamps(self) -> Stamps:
        new, cur = (os.stat(self.root / folder).st_mtime_ns for folder in FOLDERS)
        return new, cur

    def _scan(self) -> Stamps | None:
        """Where each mail lies; the folders' times, None while they may hide a later change."""
        before, stamps = time.time_ns(), self._stamps()
        # First new, then cur: other programs move mails in this direction.
        self._paths = {
            mail_key(entry.name): entry.path
            for folder in FOLDERS
            for entry in entries(self.root / folder)
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
                    name = f"{self.root.name}/{key}" if self._is_sent else key
                    raw = file.read(MAIL_BYTES)
                    is_answered = "R" in self._paths[key].partition(":2,")[2]
                    return Arrival(name, raw, received_at, "", self._is_sent, is_answered)
            except FileNotFoundError:
                if attempt == 0:
                    self._scan()  # its flags changed
            except OSError as error:
                log.warning("Mail %s cannot be read: %s", key, error.strerror)
                break
        return None


def mail_key(name: str) -> str:
    """The unique name, spelled so that it is text, and one line, whatever its bytes are."""
    return quote_from_bytes(os.fsencode(name.partition(":")[0]), safe=PLAIN)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return [entry for entry in found if not entry.name.startswith(".")]


def _is_older(path: str, since: datetime) -> bool:
    try:
        return os.stat(path).st_mtime < since.timestamp()
    except OSError:
        return False  # the reading finds out why


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


@contextmanager
def translated(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in DENIED:
            raise Misconfigured(f"{root} must be readable and writable for us: {error}") from error
        raise Transient(f"{root} cannot be used now: {error}") from error
