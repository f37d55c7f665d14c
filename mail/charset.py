"""Bytes to text, whatever charset a mail claims. Never raises, loses no readable letter."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

# Labels seen in real mail that Python does not know or reads more narrowly than the senders do
# (WHATWG Encoding Standard: latin-1 means windows-1252, gb2312 means gb18030 and so on).
ALIASES = {
    "ansi-x3-110-1983": "cp1252",
    "ascii": "utf-8",
    "big5": "cp950",
    "cn-gb": "gb18030",
    "cp-850": "cp850",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz-gb-2312": "hz",
    "iso-8859-1": "cp1252",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "iso8859-1": "cp1252",
    "ks-c-5601-1987": "cp949",
    "ks-c-5601": "cp949",
    "ksc5601": "cp949",
    "euc-kr": "cp949",
    "l1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "macintosh": "mac-roman",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "tis-620": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "us-ascii": "utf-8",
    "utf8": "utf-8",
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "x-gbk": "gb18030",
    "x-mac-roman": "mac-roman",
    "x-sjis": "cp932",
    "x-x-big5": "cp950",
}
# Python codecs that are no charsets of mail: punycode and idna take quadratic time.
REFUSED = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})
WIDE = frozenset(
    {"big5hkscs", "cp932", "cp949", "cp950", "euc_jp", "gb18030", "hz", "johab", "utf-7"}
)
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}")
DETECT_FROM, DETECT_UP_TO = 60, 2_000
LIKELY = [
    *("cp1252", "cp1250", "cp1251", "koi8_r", "cp932", "euc_jp", "gb18030", "cp950", "cp949"),
    *("cp1253", "cp1254", "cp1255", "cp1256", "cp874"),
]
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
NEWLINES = re.compile("\r\n|[\r\x0c\x85\u2028\u2029]")
META = re.compile(rb"<meta[^>]{0,200}?charset\s{0,5}=\s{0,5}[\"']?([A-Za-z0-9._:-]{1,40})", re.I)


def codec(label: str) -> str:
    """Python's name of the charset ``label`` means, or "" when nobody can say."""
    label = label.strip(" \t\"'").lower().replace("_", "-")
    if not LABEL.fullmatch(label):
        return ""
    name = ALIASES.get(label, label)
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    # bytes.decode() refuses zlib, base64 and the like only when it is too late
    if found.name in REFUSED or not getattr(found, "_is_text_encoding", True):
        return ""
    return found.name


def decode(data: bytes, label: str = "") -> tuple[str, str]:
    """The text and a defect sentence, or "" when the label was right."""
    name = codec(label)
    if data.isascii() and not (name in WIDE or name.startswith(("iso2022", "utf-16", "utf-32"))):
        return _ascii(data, label, name)
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-8-sig" if data.startswith(codecs.BOM_UTF8) else "utf-16"
    single = name.startswith(("cp125", "iso8859", "koi8", "mac"))
    order = ["utf-8", name] if single or not name else [name, "utf-8"]
    for attempt in order:
        text = _strict(data, attempt) if attempt else None
        if text is not None:
            wrong = attempt != name and bool(name)
            return text, _wrong_label(label) if wrong or (label and not name) else ""
    return _guess(data, name), _wrong_label(label)


def clean(text: str) -> str:
    """``text`` with plain newlines and without controls that databases and JSON choke on."""
    return CONTROLS.sub("", NEWLINES.sub("\n", text)).removeprefix("\ufeff")


def declared_in_html(data: bytes) -> str:
    found = META.search(data[:4_000])
    return found.group(1).decode("ascii") if found else ""


def _ascii(data: bytes, label: str, name: str) -> tuple[str, str]:
    if b"\x1b$" in data or b"\x1b(" in data:  # RFC 1468: ISO-2022-JP is 7-bit and often unlabelled
        text = _strict(data, "iso2022_jp_ext")
        if text is not None:
            return text, _wrong_label(label)
    return data.decode("ascii"), "" if name or not label else _wrong_label(label)


def _strict(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeError, LookupError):
        return None


def _guess(data: bytes, name: str) -> str:
    """Damaged text keeps its charset if most of it fits; otherwise the letters decide."""
    for attempt in dict.fromkeys(("utf-8", name)):
        if attempt and _mostly_fits(data, attempt):
            return data.decode(attempt, "replace")
    if len(data) > DETECT_FROM and not BINARY.search(data) and (found := _detect(data)):
        text = _strict(data, found)
        if text is not None:
            return text
    return _strict(data, "cp1252") or data.decode("latin-1")


def _mostly_fits(data: bytes, name: str) -> bool:
    text = data.decode(name, "replace")
    good = len(text) - len(text.encode("ascii", "ignore")) - text.count("\ufffd")
    return good > 2 * text.count("\ufffd")


def _detect(data: bytes) -> str:
    foreign = re.search(rb"[\x80-\xff]", data)
    start = max(0, foreign.start() - 100) if foreign else 0
    piece = data[start : start + DETECT_UP_TO]
    best = from_bytes(piece, steps=2, cp_isolation=LIKELY, preemptive_behaviour=False).best()
    return codec(best.encoding) if best else ""


def _wrong_label(label: str) -> str:
    shown = re.sub(r"[^ -~]", "", label)[:40]
    return f'The charset "{shown}" is not what the text is written in.' if shown else ""
