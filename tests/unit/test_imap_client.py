"""What IMAP servers may answer, read from bytes (RFC 9051 §7 and §9)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.imap_incoming import Incoming
from mail.imap_wire import (
    Fetched,
    Listed,
    encode_folder,
    literal_size,
    quote,
    read_fetch,
    read_internaldate,
    read_list,
    read_reply,
    read_status,
    read_values,
)


def test_a_fetch_with_a_literal_gives_uid_date_and_body() -> None:
    line = b'* 3 FETCH (UID 17 INTERNALDATE "17-Jul-2026 02:44:25 -0700" BODY[] {12}\r\n'
    fetched = read_fetch(read_reply([line, b"a) \r\n\0(b{3}\x80", b" FLAGS (\\Seen))\r\n"]))
    assert fetched == Fetched(
        17, None, datetime(2026, 7, 17, 9, 44, 25, tzinfo=UTC), b"a) \r\n\0(b{3}\x80"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"* 1 FETCH (UID 5 RFC822.SIZE 4711)\r\n", Fetched(5, size=4711)),
        (b"* 1 FETCH (RFC822.SIZE 4711 UID 5)\r\n", Fetched(5, size=4711)),
        (b"* 1 fetch (uid 5 rfc822.size 4711)\r\n", Fetched(5, size=4711)),
        (b'* 1 FETCH (UID 5 BODY[] "short \\" one")\r\n', Fetched(5, body=b'short " one')),
        (b'* 1 FETCH (UID 5 BODY[]<0> "")\r\n', Fetched(5, body=b"")),
        (b'* 1 FETCH (UID 5 BODY[HEADER.FIELDS (TO FROM)] "x")\r\n', Fetched(5, body=b"x")),
        (b"* 1 FETCH (UID 5 BODY[] NIL)\r\n", Fetched(5)),  # gone, and not yet expunged
        (b"* 1 FETCH (FLAGS (\\Seen) UID 5)\r\n", Fetched(5)),
        (b"* 1 FETCH (FLAGS (\\Seen))\r\n", None),
        (b"* 1 FETCH (UID x)\r\n", None),
        (b"* 1 FETCH ()\r\n", None),
        (b"* 1 FETCH\r\n", None),
    ],
)
def test_what_a_fetch_may_look_like(line: bytes, expected: Fetched | None) -> None:
    assert read_fetch(read_reply([line])) == expected


def test_a_status_reply_has_its_word_its_code_and_words_for_people() -> None:
    reply = read_reply([b"d1 no [AUTHENTICATIONFAILED] Sorry, no.\r\n"])
    assert (reply.tag, reply.word, reply.code) == (b"d1", b"NO", (b"AUTHENTICATIONFAILED",))
    assert reply.text == "Sorry, no."


def test_codes_keep_their_arguments() -> None:
    assert read_reply([b"* OK [UIDVALIDITY 1795368751] valid\r\n"]).code == (
        b"UIDVALIDITY",
        b"1795368751",
    )


@pytest.mark.parametrize(
    ("line", "tag", "word", "number"),
    [
        (b"* 23 EXISTS\r\n", b"*", b"EXISTS", 23),
        (b"* BYE Logging out\r\n", b"*", b"BYE", None),
        (b"+ idling\r\n", b"+", b"", None),
        (b"+\r\n", b"+", b"", None),
        (b"* SEARCH\r\n", b"*", b"SEARCH", None),
        (b"d7 OK\r\n", b"d7", b"OK", None),
    ],
)
def test_kinds_of_replies(line: bytes, tag: bytes, word: bytes, number: int | None) -> None:
    reply = read_reply([line])
    assert (reply.tag, reply.word, reply.number) == (tag, word, number)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"* 1 FETCH (BODY[] {310}\r\n", 310),
        (b"* 1 FETCH (BODY[] ~{5}\r\n", 5),
        (b"x {0}\r\n", 0),
        (b"x {31\r\n", None),
        (b'* LIST () "/" "a{3}b"\r\n', None),
        (b"x {-1}\r\n", None),
    ],
)
def test_a_line_announces_a_literal(line: bytes, size: int | None) -> None:
    assert literal_size(line) == size


def test_folders_with_their_special_use() -> None:
    line = b'* LIST (\\HasNoChildren \\Sent) "/" "Gesendete Elemente"\r\n'
    expected = Listed(frozenset({"\\hasnochildren", "\\sent"}), "/", "Gesendete Elemente")
    assert read_list(read_reply([line])) == expected


def test_folders_named_by_a_literal_or_a_word_or_without_delimiter() -> None:
    by_literal = read_list(read_reply([b"* LIST () NIL {4}\r\n", b'Se"t', b"\r\n"]))
    assert by_literal == Listed(frozenset(), "", 'Se"t')
    by_word = read_list(read_reply([b"* LIST (\\Noselect) . INBOX.Sent\r\n"]))
    assert by_word == Listed(frozenset({"\\noselect"}), ".", "INBOX.Sent")
    assert read_list(read_reply([b"* LIST\r\n"])) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b" 1-Feb-2026 00:00:00 +0130", datetime(2026, 1, 31, 22, 30, tzinfo=UTC)),
        (b"01-feb-2026 00:00:00 +0000", datetime(2026, 2, 1, tzinfo=UTC)),
        (b"31-Feb-2026 00:00:00 +0000", None),
        (b"01-Foo-2026 00:00:00 +0000", None),
        (b"01-Jan-0001 00:00:00 +1400", None),
        (b"01-Feb-2026 00:00:00 +9999", None),
        (b"", None),
    ],
)
def test_internal_dates(text: bytes, expected: datetime | None) -> None:
    assert read_internaldate(text) == expected


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("pass", b'"pass"'),
        ('a"b\\c', b'"a\\"b\\\\c"'),
        ("", b'""'),
        ("a\r\nd1 LOGOUT", None),
        ("geheim\u00e4", None),
        ("x" * 2000, None),
    ],
)
def test_strings_are_quoted_or_travel_as_literals(text: str, quoted: bytes | None) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("INBOX", "INBOX"),
        ("A&B", "A&-B"),
        ("Envoy\u00e9s", "Envoy&AOk-s"),
        ("~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC
    ],
)
def test_folder_names_are_spelled_in_modified_utf7(name: str, spelled: str) -> None:
    assert encode_folder(name) == spelled


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(line: bytes) -> None:
    reply = read_reply([line, b"x", line])
    reply.values()
    assert isinstance(reply.text, str)
    read_fetch(reply)
    read_list(reply)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"* %s FETCH (UID 7)\r\n", None),
        (b"* 1 FETCH (UID %s)\r\n", None),
        (b"* 1 FETCH (UID 7 RFC822.SIZE %s)\r\n", Fetched(7)),
    ],
)
def test_numbers_that_no_server_counts_to_are_none(line: bytes, expected: Fetched | None) -> None:
    """Python itself refuses to read more than 4,300 digits."""
    assert read_fetch(read_reply([line % (b"9" * 5_000)])) == expected
    status = read_reply([b"* STATUS INBOX (MESSAGES 2 UIDNEXT %s)\r\n" % (b"9" * 5_000)])
    assert read_status(status) == {b"MESSAGES": 2}


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r\n\0"))))
def test_what_is_quoted_reads_the_same(words: list[str]) -> None:
    line = b" ".join(quote(word) or b"" for word in words)
    assert read_values([line]) == [word.encode() for word in words]


@pytest.mark.parametrize("hostile", [b"[", b'"', b"(", b"[a", b'\\"', b'"[', b"{1}"])
def test_reading_stays_linear_on_hostile_lines(hostile: bytes) -> None:
    started = time.process_time()
    read_values([hostile * 100_000])
    assert time.process_time() - started < 2


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_replies_read_the_same_however_they_are_cut(size: int) -> None:
    body = b"x{3}\r\n(" * 100
    wire = b"* 1 FETCH (UID 5 BODY[] {%d}\r\n%s)\r\n* 2 EXISTS\r\n+ \r\n" % (len(body), body)
    reader = asyncio.StreamReader()
    incoming = Incoming(reader)
    found: list[bytes] = []
    for start in range(0, len(wire), size):
        reader.feed_data(wire[start : start + size])
        while await incoming.comes(0.001):
            while parts := incoming.whole(10_000):
                found += parts
    assert found == [
        b"* 1 FETCH (UID 5 BODY[] {%d}\r\n" % len(body),
        body,
        b")\r\n",
        b"* 2 EXISTS\r\n",
        b"+ \r\n",
    ]


async def test_a_string_that_is_longer_than_allowed_is_not_taken_as_whole() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"* 1 FETCH (BODY[] {5}\r\nabcde)\r\n")
    incoming = Incoming(reader)
    assert await incoming.comes(1)
    assert incoming.whole(4) is None
    assert incoming.whole(5) == [b"* 1 FETCH (BODY[] {5}\r\n", b"abcde", b")\r\n"]
