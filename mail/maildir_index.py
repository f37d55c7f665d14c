"""Numbers a Maildir's mails in the order in which they were first seen.

File names and times say nothing sure about the order of arrival, and flags rename files. So each
new name goes to a list in the Maildir, as IMAP servers do it (dovecot-uidlist), and its number is
what a checkpoint holds. Processes may share the list; losing it only means reading again.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MAGIC = "maildesk-index-1"
COMPACT_LINES = 10_000


class MaildirIndex:
    """A first line ``magic id last`` and lines ``number key``; number 0 takes a key back.

    Calls block and raise OSError; they may come from any thread, one at a time.
    """

    def __init__(self, path: Path) -> None:
        self.id = ""  # of this list: checkpoints of another one mean nothing here
        self._path = path
        self._numbers: dict[str, int] = {}
        self._order: list[tuple[int, str]] = []  # ascending; also what was taken back
        self._last = 0
        self._read_to = 0
        self._inode = 0

    def __contains__(self, key: str) -> bool:
        return key in self._numbers

    @property
    def last(self) -> int:
        return self._last

    def refresh(self) -> None:
        """Read what other processes added."""
        try:
            state = self._path.stat()
            fresh = (state.st_ino, state.st_size) == (self._inode, self._read_to)
        except FileNotFoundError:
            fresh = False
        if not fresh:
            with self._locked():
                pass

    def add(self, keys: Iterable[str]) -> None:
        """Number the keys that have no number yet, in this order; on return that is on disk."""
        if wanted := dict.fromkeys(keys):
            with self._locked() as file:
                unknown = [key for key in wanted if key not in self]
                self._append(file, [f"{n} {k}" for n, k in enumerate(unknown, self._last + 1)])

    def forget(self, keys: Iterable[str]) -> None:
        """The next ``add`` of one of these gives it a new number."""
        if known := [key for key in keys if key in self]:
            with self._locked() as file:
                self._append(file, [f"0 {key}" for key in known])

    def after(self, number: int) -> Iterator[tuple[int, str]]:
        """Higher numbers and their keys, in order."""
        start = bisect_right(self._order, number, key=lambda entry: entry[0])
        for place in range(start, len(self._order)):
            entry, key = self._order[place]
            if self._numbers.get(key) == entry:
                yield entry, key

    def compact(self, living: Collection[str]) -> None:
        """Drop the mails that are gone once they are most of a long list."""
        if len(self._order) < max(COMPACT_LINES, 2 * len(living)):
            return
        with self._locked():
            lines = [f"{MAGIC} {self.id} {self._last}"]
            lines += [f"{n} {key}" for n, key in self.after(0) if key in living]
            copy = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
            with copy.open("xb") as file:
                file.write("".join(f"{line}\n" for line in lines).encode())
                file.flush()
                os.fsync(file.fileno())
            copy.replace(self._path)
        self.refresh()

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, ours alone and read to its end."""
        file = self._open()
        try:
            self._catch_up(file)
            yield file
        finally:
            os.close(file)

    def _open(self) -> int:
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._path.stat().st_ino == os.fstat(file).st_ino:
                    return file
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # it was replaced while we waited for the lock

    def _catch_up(self, file: int) -> None:
        state = os.fstat(file)
        if state.st_ino != self._inode or state.st_size < self._read_to:
            self._reset(state.st_ino)
        content = os.pread(file, state.st_size - self._read_to, self._read_to)
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):  # a crash in the middle of a line
            os.ftruncate(file, self._read_to + len(whole))
        try:
            self._take(whole.decode().splitlines())
        except ValueError:  # damaged: a new list, and every mail is read again
            self._reset(state.st_ino)
            os.ftruncate(file, 0)
            whole = b""
        self._read_to += len(whole)
        if not self.id:
            self._append(file, [f"{MAGIC} {secrets.token_hex(8)} 0"])

    def _append(self, file: int, lines: list[str]) -> None:
        if not lines:
            return
        content = "".join(f"{line}\n" for line in lines).encode()
        try:
            if os.write(file, content) < len(content):
                raise OSError("The disk took only a part of the mail index.")
            os.fsync(file)
        except OSError:
            os.ftruncate(file, self._read_to)
            raise
        self._read_to += len(content)
        self._take(lines)

    def _take(self, lines: Iterable[str]) -> None:
        for line in lines:
            if not self.id:
                magic, self.id, last = line.split(" ")
                self._last = int(last)
                if magic != MAGIC:
                    raise ValueError(line)
                continue
            number, _, key = line.partition(" ")
            self._enter(int(number), key)

    def _enter(self, number: int, key: str) -> None:
        if number == 0:
            self._numbers.pop(key, None)
            return
        self._numbers[key] = number
        self._order.append((number, key))
        self._last = max(self._last, number)  # the first line may say more

    def _reset(self, inode: int) -> None:
        self.id = ""
        self._numbers, self._order = {}, []
        self._last = self._read_to = 0
        self._inode = inode
