"""Address lists as people and programs write them."""

from __future__ import annotations

import pytest

from desk.email import Address
from mail.addresses import addresses


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
