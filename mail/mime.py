"""The tree of a mail's parts. Splits bytes by boundaries, outermost first, within limits that make
every input linear: the standard library's parser is quadratic in nesting and recurses."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from mail.headers import Headers, base64, parameters, read_headers
from mail.html import MAX_TAGS

MAX_DEPTH = 50
MAX_PARTS = 1_000
MAX_BODY_BYTES = 3_000_000
MAX_DELIMITERS = 20 * MAX_PARTS
MULTIPART_DEFAULT = {"multipart/digest": "message/rfc822"}  # RFC 2046 §5.1.5
TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,80}/(?:[a-z0-9!#$&^_.+-]{1,120}|\*)")
DELIMITER_END = re.compile(rb"(--)?[ \t]{0,200}(?:\r?\n|\r|\Z)|(--)")
GUESS_WITHIN = 64 * 1024
GUESSED_BOUNDARY = re.compile(
    rb"(?:^|[\r\n])--([^\r\n]{1,200}?)[ \t]*\r?\n(?:content-|\r?\n)", re.I
)


@dataclass(slots=True)
class Limits:
    """What is left to spend on one mail, and what had to be cut."""

    parts: int = MAX_PARTS
    tags: int = MAX_TAGS
    body_bytes: int = MAX_BODY_BYTES
    defects: list[str] = field(default_factory=list)
    is_cut: bool = False

    def note(self, sentence: str) -> None:
        if sentence and sentence not in self.defects and len(self.defects) < 30:
            self.defects.append(sentence)

    def cut(self, sentence: str) -> None:
        self.is_cut = True
        self.note(sentence)


@dataclass
class Part:
    """One node: a leaf has a ``body`` (still encoded), a multipart has ``children``."""

    headers: Headers
    data: bytes = field(repr=False)
    start: int
    end: int
    default_type: str = "text/plain"
    is_root: bool = False
    children: list[Part] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return self.data[self.start : self.end]

    @cached_property
    def _content_type(self) -> tuple[str, Mapping[str, str]]:
        return parameters(self.headers.raw("content-type"))

    @cached_property
    def _disposition(self) -> tuple[str, Mapping[str, str]]:
        return parameters(self.headers.raw("content-disposition"))

    @cached_property
    def type(self) -> str:
        """``maintype/subtype`` in lower case; RFC 2045 §5.2: what cannot be read is plain text."""
        found = TYPE.match(self._content_type[0])
        if found:
            return found.group(0)
        # X-BE2 and the like, from before MIME had settled: nothing to read
        is_private = self._content_type[0].startswith("x-") and not self.is_root
        is_named = is_private or self.disposition == "attachment"
        return "application/octet-stream" if is_named else self.default_type

    def parameter(self, name: str) -> str:
        return self._content_type[1].get(name, "")

    @property
    def disposition(self) -> str:
        return self._disposition[0]

    @property
    def filename(self) -> str:
        return self._disposition[1].get("filename", "") or self.parameter("name")

    def walk(self) -> Iterator[Part]:
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))

    def content(self) -> bytes:
        """The body without its transfer encoding; what is damaged is decoded as far as it goes."""
        encoding = (
            self.headers.source("content-transfer-encoding").partition(";")[0].strip().lower()
        )
        if encoding == "base64":
            return base64(self.body)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        if encoding in ("x-uuencode", "uuencode", "x-uue"):
            return _uudecoded(self.body)
        return self.body


def read_part(
    data: bytes,
    limits: Limits,
    start: int = 0,
    end: int | None = None,
    default_type: str = "text/plain",
) -> Part:
    end = len(data) if end is None else end
    headers, body = read_headers(data, start, end, is_top=start == 0)
    if headers.cut:
        limits.cut("The headers are too long and were cut.")
    return Part(headers, data, body, end, default_type, start == 0)


def build(data: bytes, limits: Limits) -> Part:
    """The tree of the whole mail; message/rfc822 parts stay leaves."""
    root = read_part(data, limits)
    waiting = [(root, 1)]
    while waiting:
        part, depth = waiting.pop()
        if not part.type.startswith("multipart/"):
            continue
        if depth > MAX_DEPTH:
            limits.cut(f"Parts nested deeper than {MAX_DEPTH} were not read.")
            continue
        part.children = _children(part, limits)
        waiting.extend((child, depth + 1) for child in part.children)
    return root


def _children(part: Part, limits: Limits) -> list[Part]:
    boundary = part.parameter("boundary").encode("utf-8", "surrogateescape")
    pieces = _split(part, boundary, limits.parts + 1) if boundary else []
    if not pieces:
        limits.note("The parts are not separated as the headers say.")
        first = max(0, part.start - 1)
        guessed = GUESSED_BOUNDARY.search(part.data, first, part.start + GUESS_WITHIN)
        pieces = _split(part, guessed.group(1), limits.parts + 1) if guessed else []
    if len(pieces) > limits.parts:
        limits.cut(f"Only the first {MAX_PARTS} parts were read.")
        pieces = pieces[: limits.parts]
    limits.parts -= len(pieces)
    default = MULTIPART_DEFAULT.get(part.type, "text/plain")
    return [read_part(part.data, limits, start, end, default) for start, end in pieces]


def _split(part: Part, boundary: bytes, most: int) -> list[tuple[int, int]]:
    """RFC 2046 §5.1.1. The line end before a delimiter belongs to it; the closing one may lack."""
    pieces: list[tuple[int, int]] = []
    start = -1
    for begin, after, closes in islice(_delimiters(part, b"--" + boundary), MAX_DELIMITERS):
        if 0 <= start < begin:
            pieces.append((start, begin))
        start = after
        if closes or len(pieces) >= most:
            return pieces
    if 0 <= start < part.end:
        pieces.append((start, part.end))
    return pieces


def _delimiters(part: Part, mark: bytes) -> Iterator[tuple[int, int, bool]]:
    """(where the part before it ends, where the part after it begins, is it the closing one)"""
    data, end = part.data, part.end
    position = data.find(mark, part.start, end)
    while position >= 0:
        after = position + len(mark)
        line_end = DELIMITER_END.match(data, after, end)
        if line_end and (position == part.start or data[position - 1] in b"\r\n"):
            begin = position - (position > part.start)
            is_crlf = begin > part.start and data[begin - 1 : begin + 1] == b"\r\n"
            yield begin - is_crlf, line_end.end(), bool(line_end.group(1) or line_end.group(2))
        position = data.find(mark, after, end)


def _uudecoded(body: bytes) -> bytes:
    lines = body.splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith(b"begin ")), -1)
    data = bytearray()
    for line in lines[first + 1 :]:
        if line.strip() in (b"end", b"`", b""):
            continue
        try:
            data += binascii.a2b_uu(line)
        except binascii.Error:
            # broken encoders pad lines; the first character says how long the line should be
            wanted = ((line[0] - 32) & 63) * 4 // 3 + 5
            with_luck = line[:wanted]
            try:
                data += binascii.a2b_uu(with_luck)
            except binascii.Error:
                continue
    return bytes(data)
