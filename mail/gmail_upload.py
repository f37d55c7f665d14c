"""A large mail to Gmail, part by part: an upload that goes on after a failure, and that can be
asked afterwards whether the mail left.

"Resumable upload": https://developers.google.com/gmail/api/guides/uploads#resumable
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from desk.errors import Ambiguous, DeskError, Transient
from mail.http import Answer
from mail.provider import Ready, at_once

PART = 16 * 256 * 1024
"""Of a mail in one request; all but the last must be multiples of 256 KiB."""

PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each question how far an upload got that did not answer."""

ROUNDS = 40
ARRIVED = re.compile(r"bytes=0-(\d+)")


class Line(Protocol):
    """mail.gmail_api.GmailApi as an upload uses it."""

    def handed(
        self, address: str, headers: Mapping[str, str], content: bytes, ready: Ready
    ) -> Awaitable[Answer]: ...

    def refusal(self, answer: Answer) -> DeskError: ...


@dataclass(slots=True)
class Upload:
    """``address`` is that of the session. ``finish`` returns when Gmail has sent the mail."""

    line: Line
    address: str
    mime: bytes = field(repr=False)
    ready: Ready = at_once  # awaited before the last part
    pauses: Sequence[float] = PAUSES
    _is_whole: bool = False  # the last part was handed over, so the mail may have left

    async def finish(self) -> None:
        """Raises Transient when it did not leave, Ambiguous when it may have."""
        start = 0
        for _ in range(ROUNDS):
            answer = await self._answer(start)
            if answer.status in (200, 201):
                return
            if answer.status != 308:
                raise self._refusal(answer)
            arrived = ARRIVED.fullmatch(answer.headers.get("Range", ""))
            start = int(arrived[1]) + 1 if arrived else 0
        raise Transient("Gmail asked for the same parts of a mail again and again")

    async def _answer(self, start: int) -> Answer:
        """To the next part, or to the question what has arrived."""
        part = self.mime[start : start + PART]
        total = len(self.mime)
        end = start + len(part)
        self._is_whole = end == total
        span = f"{start}-{end - 1}" if part else "*"
        answer = await self._tried(
            f"bytes {span}/{total}", part, self.ready if self._is_whole else at_once
        )
        for pause in self.pauses:
            if answer is not None:
                return answer
            await asyncio.sleep(pause)
            answer = await self._tried(f"bytes */{total}", b"")
        if answer is None:
            raise self._failure("Gmail does not say how far the upload of a mail got")
        return answer

    async def _tried(self, span: str, part: bytes, ready: Ready = at_once) -> Answer | None:
        """None when there was no answer that says anything."""
        headers = {"Content-Range": span, "Content-Type": "message/rfc822"}
        try:
            answer = await self.line.handed(self.address, headers, part, ready)
        except (Transient, Ambiguous):
            return None
        return None if answer.status >= 500 else answer

    def _refusal(self, answer: Answer) -> DeskError:
        """404: the session is no more, and nobody can be asked."""
        if answer.status in (404, 410):
            return self._failure("Gmail knows the upload of a mail no longer")
        return self.line.refusal(answer)

    def _failure(self, sentence: str) -> DeskError:
        if self._is_whole:
            return Ambiguous(f"{sentence}, so the mail may have left")
        return Transient(sentence)
