"""Whether a tree of some HTML takes linear time to build: told by counting, before it is built."""

from __future__ import annotations

import re

MAX_DEPTH = 300


def elements(names: str) -> frozenset[str]:
    return frozenset(names.split())


VOID = elements("area base br col embed hr img input link meta param source track wbr")
# HTML closes these itself, so an unclosed one does not nest.
SELF_CLOSING = VOID | elements(
    "li p td th tr thead tbody tfoot dt dd option optgroup html head body colgroup"
)
FORMATTING = elements("a b big code em font i nobr s small strike strong tt u")

MAX_REPEATED = 300_000
MAX_ATTRIBUTES, MANY_ATTRIBUTES = 500, 5_000
OPENING = re.compile(r"<[a-zA-Z][^\s/>]*+")
ATTRIBUTE = re.compile(r"[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:\"[^\"]*+\"?|'[^']*+'?|[^\s>]*+))?")
LONG_TAG = 5_000
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,30})")


def is_tame(html: str) -> bool:
    """Whether building the tree takes linear time: bounded depth, few attributes in a tag, and few
    formatting elements left open, which HTML repeats in every following block."""
    depth = deepest = count = formats = most_formats = 0
    for closes, name in TAG.findall(html):
        name = name.lower()
        count += 1
        step = -1 if closes else 1
        if name in FORMATTING:
            formats = max(0, formats + step)
            most_formats = max(most_formats, formats)
        if name not in SELF_CLOSING:
            depth = max(0, depth + step)
            deepest = max(deepest, depth)
    fits = deepest <= MAX_DEPTH and most_formats * count <= MAX_REPEATED
    return fits and _has_few_attributes(html)


def _has_few_attributes(html: str) -> bool:
    """The tree compares each attribute with all before it."""
    if html.count("=") < MANY_ATTRIBUTES and max(map(len, html.split(">"))) < LONG_TAG:
        return True
    position = 0
    while opening := OPENING.search(html, position):
        position, count = opening.end(), 0
        while attribute := ATTRIBUTE.match(html, position):
            position, count = attribute.end(), count + 1
        if count > MAX_ATTRIBUTES:
            return False
    return True
