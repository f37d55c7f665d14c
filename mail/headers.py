"""Header lines to values: tolerant of everything real mail does to RFC 5322, 2045, 2047 and 2231.

Everything here is linear in its input and capped before it is read.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from types import MappingProxyType

from mail.charset import decode

MAX_SECTION = 256 * 1024
MAX_HEADERS = 1_000
MAX_VALUE = 32 * 1024
MAX_PARAMETER_BYTES, MAX_PARAMETERS = 8_000, 100
MAX_IDS = 200

LINE = re.compile(rb"([^\r\n]*)(?:\r{0,3}\n|\r|\Z|(?=[\s\S]))")  # LF, CRLF, a lone CR
BLANK_LINE = re.compile(rb"\r?\n\r?\n|\r\r")
FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
# Controls, line ends, bidi overrides and marks, zero-width signs, tags: nothing of it is a name.
INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]+"
)
SPACES = re.compile(r"\s+")
MESSAGE_ID = re.compile(r"<([^<>]{1,990})>")
KNOWN = re.compile(
    rb"(?:from|to|cc|subject|date|message-id|mime-version|received|return-path|reply-to|content-[a-z-]+"
    rb"|x-[a-z-]+|dkim-signature|references|in-reply-to|sender):",
    re.I,
)


@dataclass(slots=True)
class Headers:
    """The header fields of one part in their order, names in lower case, values unfolded bytes."""

    fields: list[tuple[str, bytes]] = field(default_factory=list)
    cut: bool = False
    _texts: dict[str, str] = field(default_factory=dict)

    def raw(self, name: str) -> bytes:
        return next((value for key, value in self.fields if key == name), b"")

    def all(self, name: str) -> Iterator[str]:
        return (_characters(value) for key, value in self.fields if key == name)

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.fields)

    def source(self, name: str) -> str:
        """The first value as characters, encoded words still encoded; "" when there is none."""
        return _characters(self.raw(name))

    def text(self, name: str) -> str:
        """The first value for people to read: decoded, one line, nothing invisible."""
        if name not in self._texts:
            self._texts[name] = visible(decoded(self.source(name)))
        return self._texts[name]


def read_headers(
    data: bytes, start: int = 0, end: int | None = None, is_top: bool = True
) -> tuple[Headers, int]:
    """The header fields that begin at ``start``, and where the body begins. A part's may lack."""
    headers, position = Headers(), start
    end = len(data) if end is None else end
    last = min(end, start + MAX_SECTION)
    pending: list[bytes] = []
    name = ""
    while position < last:
        found = LINE.match(data, position, last)
        assert found is not None  # noqa: S101  it matches anything
        line, after = found.group(1), found.end()
        if not line or (line.isspace() and not FIELD.match(data, after)):
            position = after
            if name or not is_top:
                break
            continue  # blank lines above the headers
        matched = FIELD.match(line)
        if line[0] in b" \t" and name:
            pending.append(line)
        elif matched:
            _keep(headers, name, pending)
            name, pending = matched.group(1).decode("ascii").lower(), [line[matched.end() :]]
        elif line.startswith((b"From ", b">From ")):
            pass  # the separator of an mbox file
        elif name and KNOWN.match(data, after):
            pending.append(b" " + line)  # a folded line that lost its indentation
        else:
            break  # the blank line is missing: the body begins here
        position = after
        if len(headers.fields) == MAX_HEADERS:
            found = BLANK_LINE.search(data, position, last)
            position, name, headers.cut = found.end() if found else last, "", True
            break
    else:
        headers.cut = last < end
    _keep(headers, name, pending)
    return headers, position


def _keep(headers: Headers, name: str, lines: list[bytes]) -> None:
    if not name:
        return
    value = b"".join(lines).strip()
    headers.cut |= len(value) > MAX_VALUE
    headers.fields.append((name, value[:MAX_VALUE]))


def _characters(value: bytes) -> str:
    """RFC 6532 allows UTF-8 in headers; older senders put any charset there."""
    return value.decode("ascii") if value.isascii() and b"\x1b" not in value else decode(value)[0]


def visible(text: str) -> str:
    return SPACES.sub(" ", INVISIBLE.sub(" ", text) if INVISIBLE.search(text) else text).strip()


def decoded(text: str) -> str:
    """RFC 2047. Neighbours of one charset are joined first: some senders split inside a letter."""
    if "=?" not in text:
        return text
    parts: list[str] = []
    run: list[bytes] = []
    run_charset = ""
    position = 0
    for word in ENCODED_WORD.finditer(text):
        charset = word.group(1).partition("*")[0].lower()  # RFC 2231 §5: charset*language
        between = text[position : word.start()]
        is_adjacent = bool(run) and not between.strip()
        if run and not (is_adjacent and charset == run_charset):
            parts.append(decode(b"".join(run), run_charset)[0])
            run = []
        if not is_adjacent:
            parts.append(between)
        run.append(_payload(word.group(2), word.group(3)))
        run_charset, position = charset, word.end()
    if run:
        parts.append(decode(b"".join(run), run_charset)[0])
    return "".join([*parts, text[position:]])


def _payload(encoding: str, payload: str) -> bytes:
    data = payload.encode("utf-8", "surrogateescape")
    if encoding in "qQ":
        return binascii.a2b_qp(data, header=True)
    return base64(data)


def base64(data: bytes) -> bytes:
    """What can be decoded of it; stray characters are skipped and missing padding is forgiven."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        usable = len(letters) - (len(letters) % 4 == 1)
        return binascii.a2b_base64(letters[:usable] + b"==")


def parameters(value: bytes) -> tuple[str, Mapping[str, str]]:
    """``text/plain; charset=utf-8`` as ``("text/plain", {"charset": "utf-8"})`` with RFC 2231 and
    with encoded words where they do not belong. All in lower case but the parameters' values."""
    main, _, rest = _characters(value[:MAX_PARAMETER_BYTES]).partition(";")
    found: dict[str, str] = {}
    for name, text in _split_parameters(rest):
        found.setdefault(name, text)
    return main.strip().lower(), MappingProxyType(_joined(found))


PARAMETER = re.compile(r'[\s;]*([^=;\s"]{1,100})\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))')


def _split_parameters(rest: str) -> Iterator[tuple[str, str]]:
    position = 0
    for _ in range(MAX_PARAMETERS):
        found = PARAMETER.match(rest, position)
        if found is None:
            skip = rest.find(";", position)
            if skip < 0:
                return
            position = len(rest) - len(rest[skip:].lstrip("; \t\r\n"))
            continue
        position = found.end()
        quoted, bare = found.group(2), found.group(3)
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare.strip()
        yield found.group(1).lower(), text


def _joined(found: dict[str, str]) -> dict[str, str]:
    """RFC 2231: ``name*0*=utf-8'en'a%20; name*1=b`` is one value."""
    values: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for key, text in found.items():
        name, star, number = key.partition("*")
        if not star:
            values[name] = text if name == "boundary" else visible(decoded(text))
            continue
        order = number.rstrip("*")
        index = int(order) if order.isascii() and order.isdigit() and len(order) < 4 else 0
        pieces.setdefault(name, []).append((index, key.endswith("*"), text))
    for name, parts in pieces.items():
        values[name] = _extended(sorted(parts))
    return values


def _extended(parts: list[tuple[int, bool, str]]) -> str:
    charset, data = "", b""
    for index, encoded, text in parts:
        if encoded and index == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        data += _unpercent(text) if encoded else text.encode("utf-8", "surrogateescape")
    return visible(decoded(decode(data, charset)[0]))


def _unpercent(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda hit: bytes([int(hit.group(1), 16)]), data)


def message_ids(text: str) -> tuple[str, ...]:
    """Every ``<id>`` in its order, each once. Folding may have put blanks into one."""
    text = decoded(text)  # cpython#79986: some senders encode long ids as if they were words
    found = (f"<{re.sub(r'[^!-~]+', '', hit)}>" for hit in MESSAGE_ID.findall(text))
    unique = list(dict.fromkeys(found))
    if not unique and "@" in text and " " not in text.strip():
        unique = [f"<{re.sub(r'[^!-~]+|[<>]', '', text)[:990]}>"]
    return tuple(unique if len(unique) <= MAX_IDS else [unique[0], *unique[1 - MAX_IDS :]])


def made_up_id(raw: bytes) -> str:
    """For a mail that has none; the same bytes get the same."""
    return f"<{hashlib.sha256(raw).hexdigest()}@maildesk.invalid>"


ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?\s*(?:Z|[+-]\d\d:?\d\d)?")


def moment(text: str) -> datetime | None:
    """RFC 5322 §3.3 and what passes for it. Without a zone it is taken for UTC."""
    text = text[:200].strip()
    try:
        parts = parsedate_tz(text)
        if parts is None:
            return _iso(text)
        zone = timezone(timedelta(seconds=parts[9] or 0))
        found = datetime(*parts[:5], min(parts[5], 59), tzinfo=zone)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return found if 1970 <= found.year <= 2100 else None


def _iso(text: str) -> datetime | None:
    found = ISO.match(text)
    if found is None:
        return None
    value = datetime.fromisoformat(found.group(0).replace(" ", "T", 1).replace(" ", ""))
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def received_at(headers: Headers) -> datetime | None:
    """When the last server on the way took the mail: each writes its line on top."""
    for line in headers.all("received"):
        found = moment(line.rpartition(";")[2])
        if found:
            return found
    return None
