"""Text cut into sentences and lists, and made comparable: to quote passages and check quotes."""

from __future__ import annotations

import re
import unicodedata

MARK = re.compile(r"\s?\[(\d{1,3})\]")  # [n], the mark of a citation
ITEM = re.compile(r"^\s*(?:[-*•–]|\d{1,2}[.)])\s+")

_HEADING = re.compile(r"^\s*#{1,6}\s")
# bounded: a mail of marks that never end must not hold anybody up
_LINK = re.compile(r"!?\[([^\]\n]{1,300})\]\(([^)\s]{0,500})\)")
_EMPHASIS = re.compile(r"(\*\*|__|`)(?=\S)(.{1,400}?)(?<=\S)\1")
_SLANTED = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]{1,400}?)(?<=\S)\*(?![\w*])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|Mr|Mrs|Ms|Dr|Prof|St|No|Nr|Art|Abs|Str|Tel|Inc|Ltd|Co"
    r"|z\.\s?B|d\.\s?h|u\.\s?a|bzw|ca|ggf|inkl|zzgl|usw|evtl|max|min|p\.\s?ex|env|M|Mme"
    r"|p\.\s?ej|Sr|Sra|Ud|Uds|aprox|núm|a\.m|p\.m)|\b[A-Z]|(?<=\d))\.$"
)
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?:\s?\[\d{1,3}\])*(?=\s+|$)")
_BEGINS = re.compile(r"\s*(?:$|[\"'“„«¿¡(\[<]*[\w*_`-](?<![a-zà-öø-ÿ]))")  # no sentence: "? › Help"
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "’": "'", "‘": "'"})


def plain(markdown: str) -> str:
    """Markdown as it reads in a plain-text mail: no headings, emphasis or link syntax."""
    lines = [line for line in markdown.splitlines() if not _HEADING.match(line)]
    text = _LINK.sub(_spelled, "\n".join(lines))
    return _SLANTED.sub(r"\1", _EMPHASIS.sub(r"\2", text)).strip()


def _spelled(link: re.Match[str]) -> str:
    words, target = link[1], link[2]
    if not target.startswith("http") or target in words:
        return words
    return f"{words} ({target})"


def blocks(text: str) -> list[str]:
    """Paragraphs and lists, in order. A list keeps its steps and the lines that lead into it."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        for piece in _pieces(paragraph):
            if found and is_list(piece) and (found[-1].endswith(":") or is_list(found[-1])):
                found[-1] += "\n" + piece
            else:
                found.append(piece)
    return found


def _pieces(paragraph: str) -> list[str]:
    """Runs of prose lines and runs of list items; an indented line continues its item."""
    runs: list[list[str]] = []
    listing = False
    for line in filter(str.strip, paragraph.splitlines()):
        item = bool(ITEM.match(line))
        if runs and (item == listing or (listing and line[0].isspace())):
            runs[-1].append(line.rstrip())
        else:
            runs.append([line.rstrip()])
            listing = item
    return ["\n".join(run) for run in runs]


def is_list(block: str) -> bool:
    return any(ITEM.match(line) for line in block.splitlines())


def items(block: str) -> str:
    """A list without the lines that lead into it."""
    lines = block.splitlines()
    first = next((n for n, line in enumerate(lines) if ITEM.match(line)), 0)
    return "\n".join(lines[first:])


def units(text: str) -> list[str]:
    """The smallest pieces that may stand alone: sentences, and whole lists."""
    found = []
    for block in blocks(text):
        found += [block] if is_list(block) else sentences(block)
    return found


def sentences(prose: str) -> list[str]:
    """The sentences of running text, with the citation marks that follow them."""
    text = re.sub(r"\s+", " ", prose).strip()
    found, start = [], 0
    for end in _END.finditer(text):
        if not _BEGINS.match(text, end.end()) or _ABBREVIATION.search(text, start, end.start() + 1):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def normal(text: str) -> str:
    """Words and punctuation only, one blank apart: equal for texts that say the same letters."""
    lines = [ITEM.sub("", line) for line in plain(text).splitlines()]
    folded = unicodedata.normalize("NFKC", MARK.sub("", " ".join(lines))).translate(_QUOTES)
    return " ".join(re.findall(r"\w+|[^\w\s]", folded.casefold()))


def source(text: str) -> str:
    """A passage for ``stands_in``: normal, with a full stop after each of its units."""
    pieces = (normal(unit).strip(" .") for unit in units(plain(text)))
    return " . ".join(pieces).replace(": . ", ": ")


def stands_in(sentence: str, body: str) -> bool:
    """Whether a whole sentence of ``body`` (or several in a row) reads like ``sentence``.

    One is ``normal``, the other a ``source``. A part of a sentence does not count: "refunds are
    paid" is not what "no refunds are paid" says.
    """
    wanted, place = sentence.strip(" .:!?"), -1
    if len(wanted.split()) < 2:
        return False
    padded = f" {body} "
    while (place := padded.find(f" {wanted} ", place + 1)) >= 0:
        before, after = padded[:place].rstrip(), padded[place + len(wanted) + 1 :].lstrip()
        if (not before or before[-1] in ".!?:") and (not after or after[0] in ".!?:"):
            return True
    return False
