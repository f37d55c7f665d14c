"""Personal data out of a text and back in: ``<PERSON_1>`` stands for one exact value.

Names in running text are found only with a NER pipeline (``has_names``); without one, the names
that the mail itself tells and those in greetings, closings and "my name is" are.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from desk.child import Child
from desk.errors import Misconfigured, Transient
from inference.patterns import Found

__all__ = ["Found", "Redacted", "Redactor", "merge", "restore", "substitute"]

PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]{0,40})_([0-9]{1,6})>")
LITERAL = "LITERAL"  # a text's own words that look like a placeholder
# Presidio skips an expression that takes longer than this: our own limit comes first.
PATIENT = {"REGEX_TIMEOUT_SECONDS": "100000"}


@dataclass(frozen=True, slots=True)
class Redacted:
    """``names`` maps each placeholder to its exact value, those it was given included; ``found``
    is what was personal, as offsets into the input."""

    text: str
    names: Mapping[str, str]
    found: tuple[Found, ...] = ()


def restore(text: str, names: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """The text with its placeholders' values, and the placeholders that are not ours, or that lost
    their brackets: those stay as they are."""
    unknown: list[str] = []

    def value(match: re.Match[str]) -> str:
        if match[0] not in names:
            unknown.append(match[0])
        return names.get(match[0], match[0])

    restored = PLACEHOLDER.sub(value, text)
    return restored, tuple(dict.fromkeys([*unknown, *_torn(text, names)]))


def _torn(text: str, names: Mapping[str, str]) -> list[str]:
    """Placeholders that a writer has changed: PERSON_1, <person_1>."""
    if not names:
        return []
    words = "|".join(re.escape(name.strip("<>")) for name in names)
    near = re.compile(rf"(?:<|(?<![\w<]))(?:{words})(?:>|(?!\w))", re.IGNORECASE)
    return [match for match in near.findall(text) if match not in names]


def substitute(text: str, found: Iterable[Found], names: Mapping[str, str]) -> Redacted:
    """Replace what was found. What looks like a placeholder already is replaced too, so that
    ``restore`` gives back exactly the input."""
    lookalikes = [
        Found(LITERAL, match.start(), match.end(), 1.0) for match in PLACEHOLDER.finditer(text)
    ]
    spans = merge([*found, *lookalikes])
    kept = dict(names)
    placeholders = {value: name for name, value in names.items()}
    last = _last_numbers(names)
    pieces: list[str] = []
    at = 0
    for span in spans:
        value = text[span.start : span.end]
        if value not in placeholders:
            last[span.type] += 1
            placeholders[value] = f"<{span.type}_{last[span.type]}>"
            kept[placeholders[value]] = value
        pieces += [text[at : span.start], placeholders[value]]
        at = span.end
    personal = tuple(span for span in spans if span.type != LITERAL)
    return Redacted("".join([*pieces, text[at:]]), kept, personal)


def _last_numbers(names: Iterable[str]) -> Counter[str]:
    last: Counter[str] = Counter()
    for match in filter(None, map(PLACEHOLDER.fullmatch, names)):
        last[match[1]] = max(last[match[1]], int(match[2]))
    return last


def merge(found: Iterable[Found]) -> list[Found]:
    """Spans that overlap become one, so that no part of either stays; the longest names it."""
    merged: list[Found] = []
    longest = 0
    for one in sorted(found, key=lambda one: (one.start, -one.end, -one.score)):
        if one.start >= one.end:
            continue
        if not merged or one.start >= merged[-1].end:
            merged.append(one)
            longest = one.end - one.start
            continue
        last = merged[-1]
        is_longer = (one.end - one.start, one.score) > (longest, last.score)
        longest = max(longest, one.end - one.start)
        namer = one if is_longer else last
        merged[-1] = Found(namer.type, last.start, max(last.end, one.end), namer.score)
    return merged


class Redactor:
    """Asks ``workers`` processes of inference.finder. They load in the background; only the first
    call waits. One that breaks, or takes too long, is replaced, and its caller gets Transient."""

    def __init__(
        self,
        patterns: Mapping[str, str] | None = None,
        ner: str = "",
        workers: int = 1,
        timeout: float = 10.0,
        start_timeout: float = 120.0,
    ) -> None:
        """``patterns`` are the customer's own: name to regular expression. ``timeout`` is in
        seconds, and grows with long texts."""
        self._settings = {"patterns": _typed(patterns or {}), "ner": ner}
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._workers = [_Worker(self._settings) for _ in range(workers)]
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._starting: list[asyncio.Task[None]] = []

    @property
    def has_names(self) -> bool:
        """Are names in running text found?"""
        return bool(self._settings["ner"])

    async def __aenter__(self) -> Self:
        for worker in self._workers:
            self._starting.append(asyncio.create_task(self._warm(worker)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        for worker in self._workers:
            await worker.stop()

    async def redact(
        self, text: str, known: Sequence[str] = (), names: Mapping[str, str] | None = None
    ) -> Redacted:
        """``known`` are values that the mail itself tells: names and addresses of its headers and
        signature. ``names`` of an earlier text goes on: the same values, wherever they stand, get
        the same placeholders."""
        names = names or {}
        values = [value for name, value in names.items() if not name.startswith(f"<{LITERAL}_")]
        return substitute(text, await self._ask(text, known, values), names)

    async def find(self, text: str, known: Sequence[str] = ()) -> list[Found]:
        """What is personal in a text, as offsets into it; spans do not overlap."""
        return merge(await self._ask(text, known, ()))

    async def _warm(self, worker: _Worker) -> None:
        try:
            with suppress(Misconfigured, Transient):  # the first call starts it again, and reports
                await worker.start(self._start_timeout)
        finally:
            self._idle.put_nowait(worker)

    async def _ask(self, text: str, known: Sequence[str], values: Sequence[str]) -> list[Found]:
        if not text.strip():
            return []
        worker = await self._idle.get()
        try:
            await worker.start(self._start_timeout)
            seconds = self._timeout + len(text) / 50_000
            request = {"text": text, "known": list(known), "values": list(values)}
            answer = await worker.ask(request, seconds)
        finally:
            self._idle.put_nowait(worker)
        return [Found(*one) for one in answer["found"]]


class _Worker:
    """One process. It is stopped by anything that leaves its answers out of step."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = settings
        self._child: Child | None = None

    async def start(self, seconds: float) -> None:
        if self._child is not None and self._child.is_alive:
            return
        try:
            self._child = await Child.start("inference.finder", variables=PATIENT)
        except OSError as error:
            raise Transient(f"No process could be started to redact: {error}.") from error
        answer = await self.ask(self._settings, seconds)
        if "error" in answer:
            await self.stop()
            raise Misconfigured(answer["error"])

    async def ask(self, request: Mapping[str, object], seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(request)
        except TimeoutError as error:
            await self.stop()
            raise Transient(f"Redacting took longer than {seconds:.0f} s.") from error
        except (OSError, EOFError) as error:
            await self.stop()
            raise Transient("The process that redacts has stopped; another one starts.") from error
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def _exchange(self, request: Mapping[str, object]) -> dict[str, Any]:
        if self._child is None:
            raise BrokenPipeError
        await self._child.send(json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(await self._child.receive())
        return answer

    async def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.stop()


def _typed(patterns: Mapping[str, str]) -> dict[str, str]:
    """The customer's patterns by entity type. Raises Misconfigured naming a wrong one."""
    typed: dict[str, str] = {}
    for name, expression in patterns.items():
        kind = re.sub(r"\W+", "_", name.strip().upper(), flags=re.ASCII).strip("_")
        if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,40}", kind) or kind == LITERAL:
            raise Misconfigured(f'The pattern name "{name}" needs letters A to Z: rename it.')
        try:
            matches_nothing = re.compile(expression).match("")
        except re.error as error:
            raise Misconfigured(f'The pattern "{name}" is wrong: {error}.') from error
        if matches_nothing:
            raise Misconfigured(f'The pattern "{name}" matches an empty text: make it longer.')
        typed[kind] = expression
    return typed
