"""A line to a mail service whose answers are right but for one field: what was answered once is
taped and played again, bent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from mail.http import Answer, Http, Parameters
from mail.provider import Ready, at_once

MISSING = object()
WRONG = (MISSING, None, "x", [7])

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Bend:
    """``value`` at a ``place`` in the answers to a ``request``."""

    request: str
    place: Place
    value: object

    def bent(self, answer: Answer) -> Answer:
        found: Any = json.loads(answer.body)
        _bend(found, self.place, self.value)
        return replace(answer, body=json.dumps(found).encode())


def _bend(found: Any, place: Place, value: object) -> None:
    """Unless there is no such place in this answer."""
    name, *rest = place
    if not (name in found if isinstance(found, dict) else found):
        return
    if rest:
        _bend(found[name], tuple(rest), value)
    elif value is MISSING:
        del found[name]
    else:
        found[name] = value


@dataclass
class Tape:
    """What was answered to each "METHOD path", one after the other."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)

    def bends(self) -> Iterator[Bend]:
        """Every field of every kind of answer, made wrong in every way."""
        places = {
            (request, place): None
            for request, answers in self.answers.items()
            for answer in answers
            if answer.status < 300 and answer.body.startswith(b"{")
            for place in _places(json.loads(answer.body))
        }
        for request, place in places:
            yield from (Bend(request, place, value) for value in WRONG)


def _places(value: object) -> Iterator[Place]:
    """Of a list only the first record: they are alike."""
    inner: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = enumerate(value[:1])
    for name, one in inner:
        yield (name,)
        yield from ((name, *rest) for rest in _places(one))


class TapedHttp(Http):
    """Puts all that is answered on ``tape``; or, ``bend``ing it, plays it, and asks nobody."""

    def __init__(self, tape: Tape, bend: Bend | None = None) -> None:
        super().__init__(timeout=5)
        self.asked: list[str] = []
        self._tape = tape
        self._bend = bend

    async def request(
        self,
        method: str,
        url: str,
        *,
        parameters: Parameters = (),
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        is_final: bool = False,
        ready: Ready = at_once,
        length: int = 0,
    ) -> Answer:
        place = f"{method} {urlsplit(url).path}"
        self.asked.append(place)
        if self._bend is not None:
            await ready()
            return self._played(place)
        answer = await super().request(
            method,
            url,
            parameters=parameters,
            headers=headers,
            content=content,
            is_final=is_final,
            ready=ready,
            length=length,
        )
        self._tape.answers.setdefault(place, []).append(answer)
        return answer

    def _played(self, place: str) -> Answer:
        """The last answer again and again; to what nobody asked before, that it is not there."""
        known = self._tape.answers.get(place, [])
        number = self.asked.count(place) - 1
        if not known:
            return Answer("service.example", 404, {}, b"{}")
        answer = known[min(number, len(known) - 1)]
        if self._bend is None or self._bend.request != place or answer.status >= 300:
            return answer
        return self._bend.bent(answer) if answer.body.startswith(b"{") else answer
