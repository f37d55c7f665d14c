"""Address lists to addresses: RFC 5322 §3.4 with groups, comments, quoting and what people do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from desk.email import Address
from mail.headers import decoded, visible

MAX_LENGTH = 16 * 1024
MAX_ADDRESSES = 500
MAX_NAME = 200

BARE = re.compile(r"[^\s<>()\",;:]{1,256}@[^\s<>()\",;:]{1,255}")
TOKEN = re.compile(r'"|\\.|[(),;:<>]|[^"\\(),;:<>]+|\\', re.S)


def addresses(text: str) -> tuple[Address, ...]:
    """Every mailbox in a From, To, Cc or Reply-To value. Groups are dissolved; one that only has
    a name keeps it and has no address."""
    return read_addresses(text)[0]


def read_addresses(text: str) -> tuple[tuple[Address, ...], bool]:
    """The same, and whether there are more than are read."""
    scan = _Scan(text[:MAX_LENGTH])
    found = [one for one in scan.read() if one.name or one.address]
    if not any(one.address for one in found) and "=?" in text:
        # some senders encode the whole field instead of the name
        whole = _Scan(visible(decoded(text[:MAX_LENGTH]))).read()
        found = [one for one in whole if one.address] or found
    is_cut = scan.has_more or "@" in text[MAX_LENGTH:]
    return tuple(dict.fromkeys(found[:MAX_ADDRESSES])), is_cut


@dataclass(slots=True)
class _Scan:
    """One pass over the characters; ``words`` is what stands outside of angles and comments."""

    text: str
    words: list[str] = field(default_factory=list)
    comment: list[str] = field(default_factory=list)
    angle: str | None = None
    is_unclosed: bool = False
    has_more: bool = False
    found: list[Address] = field(default_factory=list)

    def read(self) -> list[Address]:
        tokens = [hit.group(0) for hit in TOKEN.finditer(self.text)]
        index = 0
        while index < len(tokens) and len(self.found) < MAX_ADDRESSES:
            index = self._step(tokens, index)
        self.has_more = any("@" in token for token in tokens[index:])
        self._finish()
        return self.found

    def _step(self, tokens: list[str], index: int) -> int:
        mark = tokens[index]
        if mark == '"':
            return self._quoted(tokens, index + 1)
        if mark == "(" and not self.is_unclosed:
            return self._comment(tokens, index + 1)
        if mark == "<":
            return self._angle(tokens, index + 1)
        if mark in ",;":
            self._finish()
        elif mark == ":" and self.angle is None and "@" not in "".join(self.words):
            self.words.clear()  # a group's name
        elif mark not in "():>":
            self.words.append(mark[-1] if mark[0] == "\\" else mark)
        return index + 1

    def _quoted(self, tokens: list[str], index: int) -> int:
        start = index
        while index < len(tokens) and tokens[index] != '"':
            index += 1
        if index == len(tokens):  # never closed: not a quote
            return start
        inner = "".join(token[-1] if token[0] == "\\" else token for token in tokens[start:index])
        following = tokens[index + 1] if index + 1 < len(tokens) else ""
        self.words.append(f'"{inner}"' if following.startswith("@") else inner)
        return index + 1

    def _comment(self, tokens: list[str], index: int) -> int:
        depth, start = 1, index
        while index < len(tokens) and depth:
            depth += (tokens[index] == "(") - (tokens[index] == ")")
            index += 1
        if depth:  # never closed: everything after it would vanish
            self.is_unclosed = True
            return start
        self.comment.append("".join(tokens[start : index - 1]))
        return index

    def _angle(self, tokens: list[str], index: int) -> int:
        start = index
        is_route = "".join(tokens[index : index + 1]).startswith("@")
        while index < len(tokens) and tokens[index] not in (
            (">", "<") if is_route else (">", "<", ",")
        ):
            index += 1
        closed = index < len(tokens) and tokens[index] == ">"
        inner = "".join(tokens[start:index])
        if "@" in inner or self.angle is None:
            self.angle = inner
        return index + closed

    def _finish(self) -> None:
        words, comment = "".join(self.words), " ".join(self.comment)
        angle = self.angle
        self.words.clear()
        self.comment.clear()
        self.angle = None
        if angle is None:
            address = _spec(words)
            name = comment if address else words or comment
        else:
            address, name = _spec(angle), words.strip() or comment
            if not address:
                address, name = _spec(words), "" if _spec(words) else name or angle
        if name.strip() or address:
            self.found.append(Address(_name(name), address))


def _spec(text: str) -> str:
    """The ``local@domain`` in ``text``, or "". RFC 5322 §4.4 routes and mailto: are dropped."""
    text = re.sub(r"\s*([@.])\s*", r"\1", visible(decoded(text)).strip("'` "))
    text = text.removeprefix("mailto:").removeprefix("MAILTO:")
    if text.startswith("@") and ":" in text:
        text = text.rpartition(":")[2]
    if text.startswith('"') and '"@' in text:
        local, _, domain = text.rpartition("@")
        return f"{local}@{domain}" if domain and " " not in domain else ""
    found = BARE.search(text)
    return found.group(0).strip("'[]. ") if found and not text.startswith("@") else ""


def _name(text: str) -> str:
    name = visible(decoded(text)).strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1].strip()
    return name[:MAX_NAME]
