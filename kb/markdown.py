"""Markdown as blocks of plain text: headings, paragraphs, lists, tables, code.

Marks go, meaning stays: links become ``text (url)``, items keep ``-`` or their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (``level`` 1..6), or anything else (``level`` 0). ``lined`` says that its lines
    are units of their own (list, table, code), not merely wrapped."""

    text: str
    level: int = 0
    lined: bool = False

    @property
    def words(self) -> int:
        return sum(1 for _ in WORD.finditer(self.text))


WORD = re.compile(
    r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\s\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]{1,30}"
)
"""A word; of scripts that put no spaces one sign, and of an endless string each 30 signs."""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_LINED = frozenset({"bullet_list_open", "ordered_list_open", "table_open", "fence", "code_block"})


def blocks(text: str) -> list[Block]:
    """The blocks of a Markdown text in reading order; YAML front matter and HTML are left out."""
    tokens = MarkdownIt("commonmark").enable("table").parse(_FRONT_MATTER.sub("", text))
    found = (_block(part) for part in _parts(tokens))
    return [block for block in found if block.text.strip()]


def _parts(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The tokens of each block at the top level."""
    start = 0
    for at, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            yield tokens[start : at + 1]
            start = at + 1


def _block(tokens: Sequence[Token]) -> Block:
    first = tokens[0]
    if first.type == "heading_open":
        return Block(_inline(tokens[1]).replace("\n", " "), level=int(first.tag[1]))
    return Block(_text(tokens), lined=first.type in _LINED)


def _text(tokens: Sequence[Token]) -> str:
    lines: list[str] = []
    depth = 0
    marker = ""
    for token in tokens:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            depth -= 1
        elif token.type == "list_item_open":
            marker = f"{token.info}{token.markup} " if token.info else "- "
        elif token.type == "tr_open":
            lines.append("")
        elif token.type == "inline" and token.level and tokens[0].type == "table_open":
            lines[-1] += f" | {_inline(token)}" if lines[-1] else _inline(token)
        elif token.type in ("inline", "fence", "code_block"):
            content = _inline(token) if token.type == "inline" else token.content.rstrip("\n")
            lines += _indented(content, marker, depth)
            marker = ""
    return "\n".join(lines)


def _indented(content: str, marker: str, depth: int) -> list[str]:
    margin = "  " * (depth - 1)
    hanging = margin + "  " if depth else ""
    first, *rest = content.split("\n")
    start = margin + marker if marker else hanging
    return [start + first, *(hanging + line for line in rest)]


def _inline(token: Token) -> str:
    """The text of an inline token."""
    children = token.children or []
    text: list[str] = []
    for at, child in enumerate(children):
        if child.type in ("text", "code_inline"):
            text.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            text.append("\n")
        elif child.type == "image":
            text.append(_inline(child))
        elif child.type == "link_open":
            text.append("\0")
        elif child.type == "link_close":
            _close_link(text, _href(children[:at]))
    return "".join(text)


def _href(before: Sequence[Token]) -> str:
    """The address of the link that was opened last."""
    opened = [child for child in before if child.type == "link_open"][-1]
    return str(opened.attrs.get("href", ""))


def _close_link(text: list[str], href: str) -> None:
    label = "".join(takewhile(lambda part: part != "\0", reversed(text)))
    text[len(text) - 1 - text[::-1].index("\0")] = ""
    if href.removeprefix("mailto:") not in (label, "") and not href.startswith("#"):
        text.append(f" ({href})")
