"""HTML bodies as text: what a reader would see."""

from __future__ import annotations

import time

import pytest

from mail.html import html_to_text
from mail.html_tame import is_tame


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div><div>Two</div>", "One\nTwo"),
        ("One<br>Two<br><br>Three", "One\nTwo\n\nThree"),
        ("<p>a\n  b&nbsp;&amp;&lt;c</p>", "a b &<c"),
        ("<b>bo</b>ld <i> and </i> more", "bold and more"),
        ("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>", "- a\n- b\n  - c"),
        ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
        (
            "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Kettle</td><td>12</td></tr></table>",
            "Item | Price\nKettle | 12",
        ),
        (
            '<a href="https://shop.example/a?b=1">the order</a>',
            "the order <https://shop.example/a?b=1>",
        ),
        ('<a href="https://shop.example/">shop.example</a>', "shop.example"),
        ('<a href="mailto:a@b.example?subject=x">write</a>', "write <a@b.example>"),
        ('<a href="javascript:alert(1)">x</a>', "x"),
        ('<img src="x" alt="Our logo">', "[Our logo]"),
        ('<img src="pixel" width="1">x', "x"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<style>p{}</style><script>x()</script><title>t</title>y", "y"),
        ("<!-- no --><p>y</p><!--[if mso]>no<![endif]-->", "y"),
        ('<div style="display:none">preheader</div>y', "y"),
        ('<span style="max-height:0px;overflow:hidden">preheader</span>y', "y"),
        ('<span style="opacity:0">hidden</span>y', "y"),
        ('<span style="opacity:0.9">seen</span>', "seen"),
        ('<div style="font-size:0">no<span style="font-size:1em">seen</span></div>', "seen"),
        ('<p style="font-size:10pt">seen</p>', "seen"),
        ("<p hidden>no</p>y", "y"),
        ('<blockquote type="cite">a<br>b</blockquote>c', "> a\n> b\n>\nc"),
        ("<blockquote>indented</blockquote>", "indented"),
        ("a\ue000b\ue001c", "abc"),
        ("", ""),
        ("<", "<"),
        ("plain", "plain"),
    ],
)
def test_html_to_text(html: str, text: str) -> None:
    assert html_to_text(html) == (text, False)


def test_long_lines_between_tags_take_linear_time() -> None:
    lines = ("<p>" + "x" * 4_900 + "</p>") * 200
    started = time.process_time()
    assert is_tame(lines)
    assert time.process_time() - started < 0.5


def test_a_tag_of_many_attributes_is_found_behind_many_short_ones() -> None:
    short = "<p a b c>x</p>" * 1_000
    assert is_tame(short)
    assert not is_tame(f"{short}<p {'a ' * 3_000}>")
