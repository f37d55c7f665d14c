"""What the writer of a mail wrote now, what is quoted below it, and how it is signed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mail.html import QUOTED, REST
from mail.phrases import (
    ABOVE_LINE,
    CLOSING,
    FORWARD_LINE,
    LIST_FOOTER,
    NOTICE,
    ORIGINAL_LINE,
    POSTSCRIPT,
    ROLE,
    SENT_FROM,
    STARTS,
    THANKS,
    WEEKDAYS_MONTHS,
    WROTE,
)

MAX_HEADER_LINES, MAX_HEADER_LENGTH = 6, 600
MAX_SIGNATURE_LINES = 30

QUOTE_SIGN = re.compile(r"\s{0,3}(?:>|\|(?=\s*>))")
DECORATION = " \t*_>|\"'“”"
SEPARATOR = re.compile(r"\s*(?:[-_=*—–─]{2,}|#{3,}|-\s-\s-[-\s]*)\s*")
ENDS = (":", "：", "--", ":>", ":*", ":**")
CLOCK = re.compile(r"\d{1,2}\s?[:.h時]\s?\d{2}")
YEAR = re.compile(r"(?:19|20)\d\d|['’]\d\d\b|\d{1,2}[./]\d{1,2}[./]\d{2}")
ABOVE_WORD = re.compile(r"above|oberhalb|dessus|encima|sopra|boven", re.I)
BROKEN_END = re.compile(
    r">\s?(?:\w+\s?){0,2}:\s*$"
)  # "<someone@example.com" and "> wrote:" below it
ADDRESS = re.compile(r"[\w.+=-]{1,80}@[\w.-]{1,80}", re.A)
WROTE_LAST = re.compile(
    rf"(?:\b|(?<=[^a-z]))(?:{WROTE})\W{{0,10}}(?:the following)?\W{{0,10}}$", re.I
)
WROTE_WITHIN = re.compile(rf"(?:^|[\s,\"'”>»)\]])(?:{WROTE})(?:[\s:]|$)", re.I)
START = re.compile(
    rf"[-–—\s*_\"'“<\[]{{0,40}}(?:(?:{STARTS})\b|(?:{WEEKDAYS_MONTHS})\w{{0,12}}\b|\d)", re.I
)
NAMED_START = re.compile(rf"(?:{STARTS})\b", re.I)
LABEL = re.compile(r"[*_\s]{0,12}([^\W\d_][^:：*\n]{0,22}?)\s?\*{0,2}\s?[:：]\s?\*{0,2}")


@dataclass(frozen=True, slots=True)
class Visible:
    """The three parts of a body; together they hold every line that is not a mere separator."""

    reply: str
    quoted: str
    signature: str


def split(text: str) -> Visible:
    """``text`` may carry the marks of mail.html."""
    lines = text.split("\n")
    own, quoted = _Scan(lines).parts()
    reply, signature, more = _without_signature(own)
    return Visible(_joined(reply), _joined([*more, *quoted]), _joined(signature))


@dataclass(slots=True)
class _Scan:
    """Walks over the lines; ``budget`` is how many possible headings may still be looked at."""

    lines: list[str]
    budget: int = 2_000

    def parts(self) -> tuple[list[str], list[str]]:
        """The lines that are not quoted, and those that are."""
        own: list[str] = []
        quoted: list[str] = []
        at = 0
        while at < len(self.lines):
            is_rest, start = self._quote_at(at)
            if start < 0:
                own.append(self.lines[at])
                at += 1
                continue
            _drop_separators(own)
            end = len(self.lines) if is_rest else _end_of_quote(self.lines, start)
            quoted += self.lines[at:end]
            if end < len(self.lines) and own and own[-1].strip():
                own.append("")
            at = end
        return own, quoted

    def _quote_at(self, at: int) -> tuple[bool, int]:
        """(does it take all the rest, the first line after its heading); (…, -1) for no quote."""
        line = self.lines[at]
        if _is_marked(line):
            return False, at
        text = line.strip(DECORATION)
        if line.startswith(REST) or _is_dividing(line, text):
            return True, at + 1
        if not text or self.budget <= 0:
            return False, -1
        if ":" in line or "：" in line:
            self.budget -= 1
            if _is_header_block(self.lines, at):
                return True, at + 1
        length = self._attribution(at)
        if length:
            return not _next_is_marked(self.lines, at + length), at + length
        return False, -1

    def _attribution(self, at: int) -> int:
        """How many lines the "On … wrote:" takes that begins here; 0 when none does."""
        first = self.lines[at].strip()
        if not START.match(first) and not first.endswith(ENDS):
            return 0
        heading: list[str] = []
        for line in self.lines[at : at + MAX_HEADER_LINES]:
            after = at + len(heading) + 1
            line = line.strip()
            if not line or (heading and _is_marked(line) and not BROKEN_END.match(line)):
                return 0
            heading.append(line)
            if sum(map(len, heading)) > MAX_HEADER_LENGTH:
                return 0
            if len(heading) == 2 and not START.match(heading[0]):
                return 0
            if not line.endswith(ENDS) or BROKEN_END.match("".join(self.lines[after : after + 1])):
                continue
            self.budget -= 1
            if _is_attribution(" ".join(heading), _next_is_marked(self.lines, after)):
                return 0 if _begins_later(heading) else len(heading)
        return 0


def _is_dividing(line: str, text: str) -> bool:
    """A line that only says that something older follows."""
    if len(line) > 250:
        return False
    if ORIGINAL_LINE.fullmatch(line) or FORWARD_LINE.fullmatch(text):
        return True
    return bool(ABOVE_WORD.search(text) and ABOVE_LINE.fullmatch(text))


def _is_marked(line: str) -> bool:
    return line.startswith(QUOTED) or (
        bool(QUOTE_SIGN.match(line)) and not line.startswith(">From ")
    )


def _next_is_marked(lines: list[str], at: int) -> bool:
    while at < len(lines) and not lines[at].strip():
        at += 1
    return at < len(lines) and _is_marked(lines[at])


def _end_of_quote(lines: list[str], at: int) -> int:
    """The first line after the marked lines: blank lines between them and lines that a mail
    program broke off a long quoted one belong to the quote."""
    end = at
    while at < len(lines):
        if _is_marked(lines[at]):
            end = at + 1
        elif lines[at].strip() and not _is_broken_off(lines, at):
            break
        at += 1
    return end


def _is_broken_off(lines: list[str], at: int) -> bool:
    before = lines[at - 1] if at else ""
    following = lines[at + 1] if at + 1 < len(lines) else ""
    return _is_marked(before) and len(before) >= 60 and _is_marked(following)


def _begins_later(heading: list[str]) -> bool:
    """Whether a sentence that happens to begin like one stands right above the attribution."""
    rest = range(1, len(heading))
    return any(
        heading[n][0].isupper()
        and NAMED_START.match(heading[n])
        and _is_attribution(" ".join(heading[n:]), False)
        for n in rest
    )


def _is_attribution(text: str, quote_follows: bool) -> bool:
    text = text.strip(" -–—*_>\t")
    dated = bool(CLOCK.search(text) or YEAR.search(text))
    if not dated and not quote_follows and not ADDRESS.search(text):
        return False
    starts = bool(START.match(text))
    named = bool(ADDRESS.search(text))
    if WROTE_LAST.search(text[-60:]):
        is_certain = (starts and (dated or named)) or (named and dated)
        return is_certain or (quote_follows and len(text) < 120)
    if WROTE_WITHIN.search(text):
        return dated and (starts or named)
    return starts and bool(CLOCK.search(text)) and named and "<" in text


def _is_header_block(lines: list[str], at: int) -> bool:
    """Outlook's From, Sent, To and Subject in any language, at least three of them together."""
    first = _role(lines[at])
    if first not in ("from", "date", "to", "subject"):
        return False
    roles = {first}
    blanks = others = 0
    for line in lines[at + 1 : at + 14]:
        if not line.strip(DECORATION):
            blanks += 1
            if blanks > 1:
                break
            continue
        role = _role(line)
        if not role:
            others += 1  # a long list of recipients goes on
            if others > 3 or blanks:
                break
            continue
        roles.add(role)
        blanks = 0
    return ("from" in roles and len(roles) >= 3) or (
        len(roles) >= 2 and _heads_a_copy(lines, at, roles)
    )


def _heads_a_copy(lines: list[str], at: int, roles: set[str]) -> bool:
    above = lines[at - 1] if at else ""
    return (
        "from" in roles and bool(SEPARATOR.fullmatch(above)) and bool(roles & {"date", "subject"})
    )


def _role(line: str) -> str:
    found = LABEL.match(line.lstrip(f"{DECORATION}{QUOTED}")[:60])
    return ROLE.get(" ".join(found.group(1).lower().split()), "") if found else ""


def _drop_separators(own: list[str]) -> None:
    while own and (not own[-1].strip() or (SEPARATOR.fullmatch(own[-1]) and own[-1] != "-- ")):
        own.pop()


def _without_signature(lines: list[str]) -> tuple[list[str], list[str], list[str]]:
    """(reply, signature, what stands below a phone's advertisement: the mail before, unmarked)"""
    filled = [at for at, line in enumerate(lines) if line.strip()]
    tail = filled[-MAX_SIGNATURE_LINES - 1] if len(filled) > MAX_SIGNATURE_LINES else 0
    for at in range(filled[0] + 1 if filled else 0, len(lines)):
        if _is_advertisement(lines[at]):
            return lines[:at], [lines[at]], lines[at + 1 :]
        if lines[at] == "-- " or (at >= tail and _is_signature(lines, at)):
            return _with_postscript(lines[:at], lines[at:])
    return lines, [], []


def _is_advertisement(line: str) -> bool:
    """ "Sent from my phone" and the like: a short line of its own that is no sentence."""
    text = re.sub(r"<[^<>]{0,500}>|\([^()]{0,500}\)|\[[^\[\]]{0,500}\]", "", line[:600]).strip()
    if len(text) > 90 or not SENT_FROM.match(text):
        return False
    return len(text.split()) <= 10 and "," not in text and "? " not in text


def _is_signature(lines: list[str], at: int) -> bool:
    """Of lines so close to the end that everything below fits into a signature."""
    text = lines[at].strip()
    if text == "--":  # RFC 3676 §4.3 wants a blank behind it, which many clients lose
        return True
    if not text or len(text) > 160:
        return bool(text) and _is_notice(lines, at)
    below = [line.strip() for line in lines[at + 1 :] if line.strip()]
    if LIST_FOOTER.fullmatch(lines[at]):
        return any("list" in one.lower() for one in below[: 8 if len(text) > 9 else 1])
    if CLOSING.fullmatch(text):
        return not below or len(below[0]) <= 70
    if THANKS.fullmatch(text):
        return 1 <= len(below) <= 5 and all(len(one) <= 40 for one in below)
    return _is_notice(lines, at)


def _is_notice(lines: list[str], at: int) -> bool:
    return bool(NOTICE.match(lines[at].strip()[:200])) and not lines[at - 1].strip()


def _with_postscript(
    reply: list[str], signature: list[str]
) -> tuple[list[str], list[str], list[str]]:
    for at, line in enumerate(signature):
        if at and POSTSCRIPT.match(line.strip()):
            return [*reply, "", *signature[at:]], signature[:at], []
    return reply, signature, []


def _joined(lines: list[str]) -> str:
    text = "\n".join(line.replace(QUOTED, "").replace(REST, "") for line in lines)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n").rstrip()
