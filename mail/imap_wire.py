"""IMAP's wire format (RFC 9051 §9): quoting what we send, reading what a server answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Value: TypeAlias = "bytes | list[Value] | None"

LITERAL = re.compile(rb"~?\{(\d{1,19})\+?\}\r\n\Z")  # ~ is RFC 3516's literal8
# The counts are bounded to keep it linear on whatever a server sends.
TOKEN = re.compile(
    rb"[ \r\n\t]+"
    rb"|(?P<open>\()|(?P<close>\))"
    rb'|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    rb"|(?P<atom>(?:\[[^\]]*\]|[^\s()\[\"])+)"
    rb"|(?P<stray>.)",
    re.DOTALL,
)
# What nearly all FETCH replies look like; the others are read token by token.
FLAT = re.compile(
    rb"\((?:(?:UID (?P<uid>\d{1,10})|RFC822\.SIZE (?P<size>\d{1,18})"
    rb'|FLAGS \((?P<flags>[^()"{}]*)\)'
    rb'|INTERNALDATE "(?P<date>[^"\\]*)"|(?P<body>BODY\[\]) \{\d{1,19}\}\r\n) ?)+(?:\)\r\n)?'
)
INTERNALDATE = re.compile(
    rb"\s*(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])([01]\d|2[0-3])([0-5]\d)"
)
MONTHS = b"jan feb mar apr may jun jul aug sep oct nov dec".split()


@dataclass(frozen=True, slots=True)
class Reply:
    """One response: a ``tag`` ("*" untagged, "+" go on), its first word, code and the rest."""

    tag: bytes
    word: bytes  # OK NO BAD BYE PREAUTH CAPABILITY FETCH EXISTS …, in capitals
    number: int | None  # of "* 12 EXISTS" and "* 3 FETCH"
    code: tuple[bytes, ...]  # the words of OK [UIDNEXT 4]
    parts: Sequence[bytes]  # text and literals in turn: what follows the word

    @property
    def text(self) -> str:
        """What the server says to people."""
        said = b"".join(self.parts)
        return re.sub(rb"^\s*\[[^\]]*\]\s*", b"", said).decode("utf-8", "replace").strip()

    def values(self) -> list[Value]:
        return read_values(self.parts)


@dataclass(frozen=True, slots=True)
class Fetched:
    """One mail of a FETCH answer; None = not asked or not there."""

    uid: int
    size: int | None = None
    internaldate: datetime | None = None
    body: bytes | None = None
    is_answered: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of LIST; the name as the server spells it."""

    attributes: frozenset[str]
    delimiter: str
    name: str


def read_reply(parts: Sequence[bytes]) -> Reply:
    """The reply made of a line and, when it has literals, what follows each (text, literal, …)."""
    tag, _, rest = parts[0].partition(b" ")
    if tag.rstrip() == b"+":
        return Reply(b"+", b"", None, (), [rest, *parts[1:]])
    word, _, rest = rest.lstrip().partition(b" ")
    number = read_number(word) if tag == b"*" else None
    if number is not None:
        word, _, rest = rest.lstrip().partition(b" ")
    word = word.strip().upper()
    code: tuple[bytes, ...] = ()
    if word in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH") and rest.startswith(b"["):
        inside = rest[1:].partition(b"]")[0].split()
        code = (inside[0].upper(), *inside[1:]) if inside else ()
    return Reply(tag, word, number, code, [rest, *parts[1:]])


def read_number(word: object) -> int | None:
    """None for what is none, or longer than any that a server counts (RFC 9051 §9: 64 bits)."""
    return int(word) if isinstance(word, bytes) and word.isdigit() and len(word) < 20 else None


def literal_size(line: bytes) -> int | None:
    """How many bytes follow a line that ends by announcing a literal, else None."""
    found = LITERAL.search(line) if line.endswith(b"}\r\n") else None
    return int(found[1]) if found else None


def read_values(parts: Sequence[bytes]) -> list[Value]:
    """Nested lists of atoms, strings and NIL; total: broken input gives a best effort."""
    top: list[Value] = []
    stack = [top]
    for position, part in enumerate(parts):
        if position % 2:
            stack[-1].append(part)
            continue
        last = position == len(parts) - 1
        for token in TOKEN.finditer(part if last else LITERAL.sub(b"", part)):
            if token.lastgroup == "stray":  # a quote or bracket that does not end: stay linear
                break
            _take(token, stack)
    return top


def _take(token: re.Match[bytes], stack: list[list[Value]]) -> None:
    match token.lastgroup:
        case "open":
            inner: list[Value] = []
            stack[-1].append(inner)
            stack.append(inner)
        case "close":
            if len(stack) > 1:
                stack.pop()
        case "quoted":
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", token["quoted"]))
        case "atom":
            word = token["atom"]
            stack[-1].append(None if word.upper() == b"NIL" else word)


def pairs(values: list[Value]) -> dict[bytes, Value]:
    """A FETCH list (NAME value NAME value …) as a mapping of capital names."""
    names = [name.upper() if isinstance(name, bytes) else b"" for name in values[::2]]
    return dict(zip(names, values[1::2], strict=False))


def read_internaldate(text: bytes) -> datetime | None:
    """``17-Jul-2026 02:44:25 -0700`` (RFC 9051 date-time); None when it is not one."""
    found = INTERNALDATE.match(text)
    if not found or found[2].lower() not in MONTHS:
        return None
    day, _, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    month = MONTHS.index(found[2].lower()) + 1
    try:
        when = datetime(int(year), month, int(day), int(hour), int(minute), int(second), 0, UTC)
        return when - offset if sign == b"+" else when + offset
    except (ValueError, OverflowError):
        return None


def spell_date(when: datetime) -> bytes:
    """``8-Nov-2026``, as SEARCH wants it."""
    return b"%d-%s-%04d" % (when.day, MONTHS[when.month - 1].capitalize(), when.year)


def spell_uids(uids: Sequence[int]) -> bytes:
    """Ascending UIDs as a sequence set: ``1:3,7``."""
    runs: list[list[int]] = []
    for uid in uids:
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return b",".join(b"%d:%d" % (a, b) if a != b else b"%d" % a for a, b in runs)


def read_items(reply: Reply) -> dict[bytes, Value]:
    """What a FETCH reply says, by name."""
    values = reply.values()
    return pairs(values[0]) if values and isinstance(values[0], list) else {}


def read_fetch(reply: Reply) -> Fetched | None:
    """A FETCH reply; None when it carries no UID, as unasked news of flags do."""
    if flat := _read_flat(reply.parts):
        return flat
    found = read_items(reply)
    uid, when = read_number(found.get(b"UID")), found.get(b"INTERNALDATE")
    if uid is None:
        return None
    body = next((found[name] for name in found if name.startswith(b"BODY[")), None)
    return Fetched(
        uid,
        read_number(found.get(b"RFC822.SIZE")),
        read_internaldate(when) if isinstance(when, bytes) else None,
        body if isinstance(body, bytes) else None,
        is_answered(found.get(b"FLAGS")),
    )


def _read_flat(parts: Sequence[bytes]) -> Fetched | None:
    """None when it is not that simple."""
    found = FLAT.fullmatch(parts[0])
    if not found or not found["uid"] or not parts[-1].endswith(b")\r\n"):
        return None
    match found["body"], parts:
        case None, [_]:
            body = None
        case bytes(), [_, body, b")\r\n"]:
            pass
        case _:
            return None
    uid, size, date = found["uid"], found["size"], found["date"]
    when = read_internaldate(date) if date else None
    flags = list[Value]((found["flags"] or b"").split())
    return Fetched(int(uid), int(size) if size else None, when, body, is_answered(flags))


def is_answered(flags: Value) -> bool:
    """RFC 9051 §2.3.2; words of a server come in any case."""
    listed = flags if isinstance(flags, list) else []
    return any(isinstance(flag, bytes) and flag.lower() == b"\\answered" for flag in listed)


def read_status(reply: Reply) -> dict[bytes, int]:
    """The numbers of a STATUS reply, by name."""
    match reply.values() if reply.word == b"STATUS" else []:
        case [_, list() as items, *_]:
            numbers = pairs(items).items()
            return {n: number for n, v in numbers if (number := read_number(v)) is not None}
        case _:
            return {}


def read_list(reply: Reply) -> Listed | None:
    """A LIST reply."""
    match reply.values() if reply.word == b"LIST" else []:
        case [list() as attributes, delimiter, bytes() as name, *_]:
            words = [word for word in attributes if isinstance(word, bytes)]
            return Listed(
                frozenset(word.decode("ascii", "replace").lower() for word in words),
                delimiter.decode("ascii", "replace") if isinstance(delimiter, bytes) else "",
                name.decode("utf-8", "surrogateescape"),
            )
        case _:
            return None


def quote(text: str | bytes) -> bytes | None:
    """A quoted string, or None when the text must travel as a literal."""
    raw = text.encode() if isinstance(text, str) else text
    if not raw.isascii() or any(byte in raw for byte in b"\r\n\0") or len(raw) > 1000:
        return None
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def encode_folder(name: str) -> str:
    """Modified UTF-7 (RFC 3501 §5.1.3), IMAP's spelling of folder names."""

    def shift(run: re.Match[str]) -> str:
        if run[0] == "&":
            return "&-"
        return "&" + run[0].encode("utf-7")[1:].decode().rstrip("-").replace("/", ",") + "-"

    return re.sub(r"&|[^\x20-\x7e]+", shift, name)
