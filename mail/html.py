"""HTML bodies to plain text: what a reader would see, with quoted history marked for mail.reply.

A tree that would cost more than linear time to build is not built; its tags are stripped instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mail.html_tame import elements, is_tame

MAX_HTML = 2_000_000
MAX_TAGS = 25_000

QUOTED = "\ue000"  # before a line: it stands in a quote that has no "> "
REST = "\ue001"  # a line of its own: from here on everything is quoted
MARKS = re.compile(f"[{QUOTED}{REST}]")


DROPPED = elements(
    "head title style script noscript template svg math object embed applet audio video canvas"
    " select button input textarea meta link base iframe map area"
)
BLOCKS = elements(
    "address article aside body center dd details dir div dl dt fieldset figcaption figure footer"
    " form header hgroup html legend li main menu nav ol section summary table tbody tfoot thead"
    " tr ul"
)
SPACED = elements("p h1 h2 h3 h4 h5 h6 blockquote pre")
HIDDEN = re.compile(
    r"display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden|mso-hide\s{0,3}:\s{0,3}all"
    r"|max-height\s{0,3}:\s{0,3}0(?![.\d]*[1-9])|(?<!-)opacity\s{0,3}:\s{0,3}0(?![.\d]*[1-9])",
    re.I,
)
FONT_SIZE = re.compile(r"font-size\s{0,3}:\s{0,3}(\d{0,4}\.?\d{1,4})(px|pt|)", re.I)
# How clients mark what they quote: Gmail, Yahoo, Proton, Zoho, Tutanota, Zimbra, GMX and web.de.
QUOTE = re.compile(
    r"\b(?:gmail_quote|gmail_attr|gmail_extra_quote|moz-cite-prefix|yahoo_quoted|protonmail_quote|zmail_extra"
    r"|tutanota_quote|OLK_SRC_BODY_SECTION|mail-editor-reference-message-container|quoteheader)\b",
    re.I,
)
# Outlook in its many editions puts the history beside the reply, not inside an element.
QUOTE_BELOW = re.compile(
    r"(?:x_)*(?:divRplyFwdMsg|appendonsend|OutlookMessageHeader|stopSpelling)$", re.I
)
OUTLOOK_LINE = re.compile(
    r"border:\s{0,3}none;\s{0,3}border-top:\s{0,3}solid\s{1,3}#(?:E1E1E1|B5C4DF)\s{1,3}1\.0pt"
    r"|border-top:\s{0,3}#(?:E1E1E1|B5C4DF)\s{1,3}1\.?0?pt\s{1,3}solid",
    re.I,
)
CITED = re.compile(r"\b(?:gmail_quote|protonmail_quote|tutanota_quote)\b")
BLANKS = re.compile(r"[ \t\n\r\f\xa0]+")
COMMENTS = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
UNSEEN = re.compile(r"<(style|script|title)\b.*?(?:</\1\b[^>]{0,50}>|\Z)", re.S | re.I)


def html_to_text(html: str, budget: int = MAX_TAGS) -> tuple[str, bool]:
    """The text, with marks (see MARKS) where a client marked the quote; and whether it was cut.
    ``budget`` is how many tags may be looked at one by one."""
    is_cut = len(html) > MAX_HTML
    html = MARKS.sub("", html[:MAX_HTML].replace("\0", ""))
    if html.count("<") > budget or not is_tame(html):
        return _stripped(html), True
    root = LexborHTMLParser(html).root
    text = _Walk().read(root) if root is not None else ""
    return text, is_cut


def _stripped(html: str) -> str:
    text = UNSEEN.sub(" ", COMMENTS.sub(" ", html))
    text = re.sub(
        r"<(?:br|/?(?:p|div|tr|li|h[1-6]|table|blockquote))\b[^<>]{0,2000}>", "\n", text, flags=re.I
    )
    text = unescape(re.sub(r"<[^<>]{1,5000}>", " ", text))
    return _tidy(text.split("\n"))


@dataclass(slots=True)
class _Walk:
    """Goes through the tree once, without recursion, and writes lines."""

    lines: list[str] = field(default_factory=list)
    line: list[str] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)  # the next number, or -1 for bullets
    prefix: str = ""
    quoted: int = 0
    pre: int = 0
    has_space: bool = True

    def read(self, root: LexborNode) -> str:
        waiting: list[tuple[LexborNode, bool, bool]] = [(root, True, False)]
        undo: list[tuple[str, bool, bool, str]] = []
        while waiting:
            node, enters, tiny = waiting.pop()
            if not enters:
                self._leave(node, *undo.pop())
                continue
            tag = node.tag or ""
            if tag == "-text":
                if not tiny:
                    self._text(node.text_content or "")
                continue
            if tag in DROPPED or tag.startswith(("-", "!", "o:")):
                continue
            attributes = node.attributes
            if attributes and _is_hidden(attributes):
                continue
            tiny = _is_tiny(attributes, tiny)
            undo.append(self._enter(node, tag, attributes))
            waiting.append((node, False, tiny))
            waiting.extend((child, True, tiny) for child in reversed(list(_children(node))))
        self._break()
        return _tidy(self.lines)

    def _enter(
        self, node: LexborNode, tag: str, attributes: dict[str, str | None]
    ) -> tuple[str, bool, bool, str]:
        before = self.prefix
        is_quote = False
        if attributes:
            is_quote = self._mark(tag, attributes)
        if tag in SPACED:
            self._break(blank=True)
        elif tag in BLOCKS:
            self._break()
        if tag == "blockquote" and _is_cited(attributes, self.quoted):
            self.prefix += "> "
        is_list = tag in ("ul", "ol")
        if is_list:
            self.lists.append(1 if tag == "ol" else -1)
        self._inline(tag, attributes)
        self.quoted += is_quote
        self.pre += tag == "pre"
        return tag, is_quote, is_list, before

    def _leave(
        self, node: LexborNode, tag: str, is_quote: bool, is_list: bool, prefix: str
    ) -> None:
        if tag == "a":
            self._link(node)
        if tag in SPACED:
            self._break(blank=True)
        elif tag in BLOCKS or is_quote:
            self._break()
        self.prefix = prefix
        self.quoted -= is_quote
        self.pre -= tag == "pre"
        if is_list:
            self.lists.pop()

    def _mark(self, tag: str, attributes: dict[str, str | None]) -> bool:
        name = f"{attributes.get('id') or ''} {attributes.get('class') or ''}"
        if name != " ":
            if any(QUOTE_BELOW.fullmatch(word) for word in name.split()):
                self._rest()
            elif QUOTE.search(name) and tag != "blockquote":
                self._break()
                return True
        if tag == "div" and OUTLOOK_LINE.search(attributes.get("style") or ""):
            self._rest()
        return False

    def _rest(self) -> None:
        self._break()
        self.lines.append(REST)

    def _inline(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag == "br":
            self._break(even_empty=True)
        elif tag == "hr":
            self._break()
            self.line.append("---")
            self._break()
        elif tag == "li":
            self._bullet()
        elif tag in ("td", "th") and any(not word.isspace() for word in reversed(self.line)):
            self.line.append(" | ")
            self.has_space = True
        elif tag == "img":
            alt = BLANKS.sub(" ", attributes.get("alt") or "").strip()
            if alt and len(alt) <= 200:
                self._text(f" [{alt}] ")

    def _bullet(self) -> None:
        if not self.lists:
            mark = "- "
        elif self.lists[-1] < 0:
            mark = "  " * (len(self.lists[-9:]) - 1) + "- "
        else:
            mark = "  " * (len(self.lists[-9:]) - 1) + f"{self.lists[-1]}. "
            self.lists[-1] += 1
        self.line.append(mark)
        self.has_space = True

    def _link(self, node: LexborNode) -> None:
        target = (node.attributes.get("href") or "").strip()
        kind, _, rest = target.partition(":")
        if kind.lower() not in ("http", "https", "mailto", "tel") or len(target) > 2_000:
            return
        written = "".join(self.line[-40:])
        shown = target if kind.lower().startswith("http") else rest.partition("?")[0]
        bare = re.sub(r"^(?:https?://)?(?:www\.)?|/$", "", shown, flags=re.I)
        if bare and bare not in written:
            self._text(f" <{BLANKS.sub('', shown)}>")

    def _text(self, text: str) -> None:
        if self.pre:
            first, *more = text.replace("\r\n", "\n").split("\n")
            self.line.append(first)
            for line in more:
                self._break(even_empty=True)
                self.line.append(line)
            self.has_space = False
            return
        text = BLANKS.sub(" ", text)
        if self.has_space:
            text = text.removeprefix(" ")
        if text:
            self.line.append(text)
            self.has_space = text.endswith(" ")

    def _break(self, blank: bool = False, even_empty: bool = False) -> None:
        text = "".join(self.line).rstrip(" " if not _is_delimiter(self.line) else "")
        if text or even_empty:
            self.lines.append(f"{QUOTED if self.quoted else ''}{self.prefix}{text}")
        self.line.clear()
        self.has_space = True
        if blank and self.lines and self.lines[-1].strip(f"> {QUOTED}"):
            self.lines.append(f"{QUOTED if self.quoted else ''}{self.prefix}".rstrip(" "))


def _children(node: LexborNode) -> Iterator[LexborNode]:
    child = node.first_child
    while child is not None:
        yield child
        child = child.next


def _is_delimiter(line: list[str]) -> bool:
    return "".join(line[:3]) == "-- "  # RFC 3676 §4.3


def _is_hidden(attributes: dict[str, str | None]) -> bool:
    style = attributes.get("style")
    return "hidden" in attributes or bool(style and HIDDEN.search(style))


def _is_tiny(attributes: dict[str, str | None], inherited: bool) -> bool:
    found = FONT_SIZE.search((attributes.get("style") or "") if attributes else "")
    if found is None:
        return inherited
    size = float(found.group(1))
    return size == 0 or (size <= 1 and bool(found.group(2)))


def _is_cited(attributes: dict[str, str | None], quoted: int) -> bool:
    if quoted or (attributes.get("type") or "").lower() == "cite" or "cite" in attributes:
        return True
    return bool(CITED.search(attributes.get("class") or ""))


def _tidy(lines: list[str]) -> str:
    """At most one blank line in a row, none at either end."""
    kept: list[str] = []
    for line in lines:
        if line.strip(f" \t>{QUOTED}") or (kept and kept[-1].strip(f" \t>{QUOTED}")):
            kept.append(line)
    return "\n".join(kept).strip("\n")
