"""Address lists as people and programs write them."""

from __future__ import annotations

import pytest

from desk.email import Address
from mail.addresses import addresses
from mail.parse import parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a@b.example", [("", "a@b.example")]),
        ("<a@b.example>", [("", "a@b.example")]),
        ("Ann <a@b.example>", [("Ann", "a@b.example")]),
        ('"Example, Ann" <a@b.example>', [("Example, Ann", "a@b.example")]),
        ('"Ann \\"A\\" E" <a@b.example>', [('Ann "A" E', "a@b.example")]),
        ("a@b.example (Ann (the one))", [("Ann (the one)", "a@b.example")]),
        ("Ann (work) <a@b.example>", [("Ann", "a@b.example")]),
        ("a@b.example, c@d.example", [("", "a@b.example"), ("", "c@d.example")]),
        ("a@b.example; c@d.example", [("", "a@b.example"), ("", "c@d.example")]),
        ("Team: a@b.example, C <c@d.example>;", [("", "a@b.example"), ("C", "c@d.example")]),
        ("undisclosed-recipients:;", []),
        ("group:;", []),
        ("a@b.example <a@b.example>", [("a@b.example", "a@b.example")]),
        ("x@evil.example <a@b.example>", [("x@evil.example", "a@b.example")]),
        ("<@route.example,@r2.example:a@b.example>", [("", "a@b.example")]),
        ("<mailto:a@b.example>", [("", "a@b.example")]),
        ("'a@b.example'", [("", "a@b.example")]),
        ("a @ b . example", [("", "a@b.example")]),
        ("Ann <a@b.example", [("Ann", "a@b.example")]),
        ("Ann a@b.example>", [("", "a@b.example")]),
        ('"john doe"@b.example', [("", '"john doe"@b.example')]),
        ("=?utf-8?Q?J=C3=BCrgen?= <a@b.example>", [("Jürgen", "a@b.example")]),
        ('"=?utf-8?Q?J=C3=BCrgen?=" <a@b.example>', [("Jürgen", "a@b.example")]),
        ("=?utf-8?Q?Ann_<a=40b.example>?=", [("Ann", "a@b.example")]),
        ("=?utf-8?Q?x=40evil.example?= <a@b.example>", [("x@evil.example", "a@b.example")]),
        ("MAILER-DAEMON (Mail Delivery System)", [("MAILER-DAEMON", "")]),
        ("Ann\u202e <a@b.example>", [("Ann", "a@b.example")]),
        ("Jürgen Groß <j@größe.example>", [("Jürgen Groß", "j@größe.example")]),
        ('"unclosed <a@b.example>', [("unclosed", "a@b.example")]),
        ("(unclosed <a@b.example>", [("unclosed", "a@b.example")]),
        (",,a@b.example,,", [("", "a@b.example")]),
        ("", []),
    ],
)
def test_addresses(text: str, found: list[tuple[str, str]]) -> None:
    assert [(one.name, one.address) for one in addresses(text)] == found


def test_the_same_address_is_listed_once_and_long_lists_are_cut() -> None:
    assert addresses("a@b.example, a@b.example") == (Address("", "a@b.example"),)
    assert len(addresses(", ".join(f"{n}@b.example" for n in range(5_000)))) <= 500


HEAD = "Message-ID: <1@x>\r\nDate: Fri, 20 Nov 2026 09:02:00 GMT\r\nFrom: a@b.example\r\n"


@pytest.mark.parametrize(
    ("count", "defects"),
    [(500, ()), (501, ("The list of addresses in Cc is too long and was cut.",))],
)
def test_a_list_of_addresses_that_is_cut_says_so(count: int, defects: tuple[str, ...]) -> None:
    everybody = ", ".join(f"{n}@b.example" for n in range(count))
    found = parse(f"{HEAD}Cc: {everybody},\r\n\r\nHello\r\n".encode())
    assert len(found.cc) == 500
    assert (found.defects, found.truncated) == (defects, bool(defects))


def test_a_list_of_long_names_that_is_cut_says_so() -> None:
    everybody = ", ".join(f'"{"N" * 90} {n}" <{n}@b.example>' for n in range(200))
    found = parse(f"{HEAD}To: {everybody}\r\n\r\nHello\r\n".encode())
    assert 100 < len(found.to) < 200
    assert found.defects == ("The list of addresses in To is too long and was cut.",)
