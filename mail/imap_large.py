"""Of a large mail only headers and texts: the mail anew, with its attachments named and empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from mail.imap_client import ImapClient
from mail.imap_wire import Fetched, Value, is_answered, read_internaldate, read_number
from mail.mime import Limits, read_part
from mail.provider import Lack

TEXT_BYTES = 1024 * 1024  # of one text
SMALL_BYTES = 256 * 1024  # a part that is not longer is kept, whatever it is
KEPT_BYTES = 8 * 1024 * 1024
MOST_PARTS = 100
MOST_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of a BODYSTRUCTURE (RFC 9051 §7.5.2); ``section`` is "" for the whole mail."""

    section: bytes
    type: bytes
    size: int = 0
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def head(self) -> bytes:
        return b"BODY[%s.MIME]" % self.section if self.section else b"BODY[HEADER]"

    @property
    def body(self) -> bytes:
        return b"BODY[%s]" % (self.section or b"TEXT")


async def read_large(client: ImapClient, uid: int, found: dict[int, Fetched]) -> None:
    """Put it into ``found`` unless it is gone."""
    said = await client.uid_items(uid, b"(FLAGS INTERNALDATE BODYSTRUCTURE)")
    if not said:
        return
    root = read_structure(said.get(b"BODYSTRUCTURE"))
    nodes = list(root.walk())[:MOST_PARTS]
    wanted = [_peek(node.head) for node in nodes]
    wanted += [_peek(node.body) + b"<0.%d>" % size for node, size in kept(nodes)]
    parts = await client.uid_items(uid, b"(%s)" % b" ".join(wanted))
    when = read_internaldate(_bytes(said.get(b"INTERNALDATE")))
    flags = said.get(b"FLAGS")
    found[uid] = Fetched(uid, None, when, assembled(root, parts), is_answered(flags))


def read_structure(value: Value, section: bytes = b"", depth: int = 0) -> Node:
    """Total: what cannot be read is one part that is left out."""
    match value:
        case [list(), *_] if depth < MOST_DEPTH:
            children = list(takewhile(lambda one: isinstance(one, list), value))
            above = section + b"." if section else b""
            return Node(
                section,
                b"multipart/",
                0,
                tuple(
                    read_structure(child, b"%s%d" % (above, number), depth + 1)
                    for number, child in enumerate(children, 1)
                ),
            )
        case [bytes() as main, bytes() as sub, _, _, _, _, count, *_] if (
            size := read_number(count)
        ) is not None:
            return Node(section, main.lower() + b"/" + sub.lower(), size)
        case _:
            return Node(section, b"", KEPT_BYTES)


def kept(nodes: list[Node]) -> Iterator[tuple[Node, int]]:
    """The parts that are read, and how much of each."""
    left = KEPT_BYTES
    for node in nodes:
        limit = TEXT_BYTES if node.type.startswith(b"text/") else SMALL_BYTES
        is_kept = node.size <= limit or node.type.startswith(b"text/")
        if not node.children and is_kept and left > 0:
            size = max(min(node.size, limit, left), 1)
            left -= size
            yield node, size


def assembled(node: Node, said: Mapping[bytes, Value]) -> bytes:
    head = _bytes(said.get(node.head))
    if not node.section:
        head = Lack.ATTACHMENTS.header + head
    if not node.children:
        return head + _bytes(said.get(node.body + b"<0>", said.get(node.body)))
    boundary = read_part(head, Limits()).parameter("boundary").encode("utf-8", "surrogateescape")
    parts = [b"--%s\r\n%s\r\n" % (boundary, assembled(child, said)) for child in node.children]
    return head + b"".join(parts) + b"--%s--\r\n" % boundary


def _peek(item: bytes) -> bytes:
    return item.replace(b"BODY[", b"BODY.PEEK[")


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""
