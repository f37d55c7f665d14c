"""Articles of the knowledge base: read from Markdown or text files, and split into passages.

A passage is what a draft may cite: at most about 200 words, so that it fits the 256 tokens that
MiniLM reads, with no list or code torn that fits, and the path of the headings above it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from desk.errors import Misconfigured
from desk.response import Passage
from kb.markdown import WORD, Block, blocks

SUFFIXES = frozenset({".md", ".markdown", ".txt"})
MAX_BYTES = 2_000_000
MAX_FILES = 16_000
MAX_NAME = 255
MAX_WORDS = 200
MIN_WORDS = 25
MAX_HEADING = 200


@dataclass(frozen=True, slots=True)
class Article:
    """A text of the knowledge base. ``name`` is its path below the folder it was added from, with
    ``/``; ``sha256`` is that of ``text`` in UTF-8."""

    name: str
    title: str
    text: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An article as an index lists it; ``passages`` is how many it has."""

    name: str
    title: str
    sha256: str
    passages: int


def load(path: Path) -> list[Article]:
    """Every article below a folder, or the one in a file. Raises Misconfigured naming the file."""
    return [read(file, path) for file in files(path)]


def files(path: Path) -> list[Path]:
    """The files of a folder (or the file itself) that hold articles, sorted; hidden ones are left
    out. Raises Misconfigured when there are none."""
    if not path.exists():
        raise Misconfigured(f"{path} does not exist: name a file or folder with articles.")
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if _is_article(file, path))
    if not found:
        raise Misconfigured(f"{path} has no articles: put .md, .markdown or .txt files there.")
    if len(found) > MAX_FILES:
        raise Misconfigured(f"{path} has {len(found)} articles; at most {MAX_FILES} are taken.")
    return found


def read(file: Path, root: Path) -> Article:
    """One article, named by its path below ``root`` (or by its file name if they are the same)."""
    name = file.name if file == root else file.relative_to(root).as_posix()
    name = name.encode("utf-8", "replace").decode()
    if len(name) > MAX_NAME:
        raise Misconfigured(f"The path {name} is longer than {MAX_NAME} letters: shorten it.")
    if file.suffix.lower() not in SUFFIXES:
        raise Misconfigured(f"{name} is no article: only .md, .markdown and .txt are read.")
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Misconfigured(f"{name} cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_BYTES:
        raise Misconfigured(f"{name} is larger than {MAX_BYTES // 1_000_000} MB: split it.")
    return article(name, _decoded(name, raw))


def article(name: str, text: str) -> Article:
    """An article from its text. Raises Misconfigured when it has none."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Misconfigured(f"{name} has no text: fill it or take it out.")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    headings = (block.text for block in _blocks(name, text) if block.level)
    title = next(headings, "") or Path(name).stem.replace("-", " ").replace("_", " ")
    return Article(name, title[:MAX_HEADING], text, digest)


def _is_article(file: Path, root: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return not is_hidden and file.suffix.lower() in SUFFIXES and file.is_file()


def _decoded(name: str, raw: bytes) -> str:
    """UTF-8, UTF-16 with its mark, or else Windows-1252, which older editors write."""
    codec = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        if b"\0" in raw:
            raise Misconfigured(f"{name} is no text file: save it as UTF-8 text.") from None
        return raw.decode("cp1252", "replace")


def split(article: Article) -> list[Passage]:
    """The passages of an article in reading order; at least one."""
    sections = _joined(_sections(_blocks(article.name, article.text), article.title))
    passages = [
        Passage(article.name, article.title, heading, text)
        for heading, body in sections
        for text in _pieces(body)
    ]
    return passages or [Passage(article.name, article.title, "", article.title)]


def _blocks(name: str, text: str) -> list[Block]:
    if not name.lower().endswith(".txt"):
        return blocks(text)
    paragraphs = re.split(r"\n[ \t]*\n", text)
    return [Block(part.strip("\n"), lined=True) for part in paragraphs if part.strip()]


Section = tuple[str, list[Block]]
"""A path of headings without the article's title ("Refunds > By card"), and what stands below."""


def _sections(blocks: Iterable[Block], title: str) -> Iterator[Section]:
    path: dict[int, str] = {}
    body: list[Block] = []
    heading = ""
    for block in blocks:
        if not block.level:
            body.append(block)
            continue
        if body:
            yield heading, body
        path = {level: text for level, text in path.items() if level < block.level}
        path[block.level] = block.text[:MAX_HEADING]
        heading = " > ".join(text for text in path.values() if text != title)
        body = []
    if body:
        yield heading, body


def _joined(sections: Iterable[Section]) -> list[Section]:
    """Sections, where one under ~25 words is joined with the next, the last with the one before."""
    result: list[Section] = []
    for section in sections:
        if result and _is_small(result[-1]) and _fit(result[-1], section):
            result[-1] = _union(result[-1], section)
        else:
            result.append(section)
    if len(result) > 1 and _is_small(result[-1]) and _fit(*result[-2:]):
        result[-2:] = [_union(*result[-2:])]
    return result


def _is_small(section: Section) -> bool:
    heading, body = section
    return _size([Block(heading.rpartition(" > ")[2]), *body]) < MIN_WORDS


def _fit(one: Section, other: Section) -> bool:
    return _size([*one[1], *other[1]]) <= MAX_WORDS


def _union(one: Section, other: Section) -> Section:
    """Both sections under the headings they share; the other ones go into the text."""
    shared = one[0] if one[0] == other[0] else ""
    for path in _paths(one[0]):
        if path in _paths(other[0]):
            shared = path
    return shared, [*_named(one, shared), *_named(other, shared)]


def _paths(heading: str) -> list[str]:
    parts = heading.split(" > ") if heading else []
    return [" > ".join(parts[: at + 1]) for at in range(len(parts))]


def _named(section: Section, shared: str) -> list[Block]:
    heading, body = section
    rest = heading.removeprefix(shared).removeprefix(" > ")
    return [Block(f"{rest}:"), *body] if rest else body


def _size(body: Iterable[Block]) -> int:
    return sum(block.words for block in body)


def _pieces(body: Iterable[Block]) -> Iterator[str]:
    """Texts of at most MAX_WORDS; only a block that is longer alone is cut."""
    held: list[Block] = []
    for block in (part for whole in body for part in _cut(whole)):
        if held and _size(held) + block.words > MAX_WORDS:
            yield "\n\n".join(one.text for one in held)
            held = []
        held.append(block)
    if held:
        yield "\n\n".join(one.text for one in held)


_LINE_END = re.compile(r"\n")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*|\n")


def _cut(block: Block) -> Iterator[Block]:
    """A block, or its pieces: lines of a list or code, else sentences."""
    if block.words <= MAX_WORDS:
        yield block
        return
    ends = [
        match.end() for match in (_LINE_END if block.lined else _SENTENCE_END).finditer(block.text)
    ]
    held = Block("")
    for part in (short for long in _parts(block.text, ends) for short in _short(long)):
        if held.text and held.words + part.words > MAX_WORDS:
            yield Block(held.text.rstrip())
            held = Block("")
        held = Block(held.text + part.text)
    yield Block(held.text.rstrip())


def _short(text: str) -> Iterator[Block]:
    """A line or sentence, cut between words if it is too long alone."""
    starts = [word.start() for word in WORD.finditer(text)][::MAX_WORDS][1:]
    yield from map(Block, _parts(text, starts))


def _parts(text: str, cuts: list[int]) -> Iterator[str]:
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        yield text[start:end]
